"""Metrics as plain values, without a Prometheus client, on their way from the farms to a scrape."""

from hookfarm.metrics.collect import CollectedMetrics, FarmMetrics, MetricsResponder, collect
from hookfarm.metrics.family import Distribution, Family, MetricSample, counter, gauge, histogram

__all__ = [
    "CollectedMetrics",
    "Distribution",
    "Family",
    "FarmMetrics",
    "MetricSample",
    "MetricsResponder",
    "collect",
    "counter",
    "gauge",
    "histogram",
]
