"""Metrics as plain values, sent from the farms to the scraped API, without a Prometheus client."""

from hookfarm.metrics.collect import (
    CollectedMetrics,
    Distribution,
    Family,
    FarmMetrics,
    MetricsResponder,
    Sample,
    collect,
    counter,
    gauge,
    histogram,
)

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
