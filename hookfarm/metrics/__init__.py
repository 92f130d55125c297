"""Numbers on their way from whoever counts them to whoever asks: as families of Prometheus, without its client."""

from hookfarm.metrics.collect import Answer, Answering, RollCall, ask
from hookfarm.metrics.family import Distribution, Family, Sample, counter, gauge, histogram

__all__ = [
    "Answer",
    "Answering",
    "Distribution",
    "Family",
    "RollCall",
    "Sample",
    "ask",
    "counter",
    "gauge",
    "histogram",
]
