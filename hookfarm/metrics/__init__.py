"""Metrics as plain values, without a Prometheus client, on their way from the farms to a scrape."""

from hookfarm.metrics.collect import CollectedMetrics, FarmMetrics, MetricsResponder, collect
from hookfarm.metrics.family import Distribution, Family, Sample, counter, gauge, histogram

__all__ = [
    "CollectedMetrics",
    "Distribution",
    "Family",
    "FarmMetrics",
    "MetricsResponder",
    "Sample",
    "collect",
    "counter",
    "gauge",
    "histogram",
]
