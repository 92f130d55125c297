"""A family of metrics as plain values: name, help text, and a sample for each set of labels.

Names follow Prometheus, without `_total`, in base units. Label values come from small sets: configured chains and
nodes, and hosts; never endpoints, deliveries or URL paths.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"
Labels = Mapping[str, str]
Number = int | float


@dataclass(frozen=True)
class Distribution:
    """Cumulative numbers of observations up to each limit (ascending), their total, and their sum."""

    limits: tuple[float, ...]
    at_most: tuple[int, ...]
    count: int
    sum: float


@dataclass(frozen=True)
class Sample:
    """A value with its labels."""

    labels: Labels
    value: Number | Distribution


@dataclass(frozen=True)
class Family:
    """A metric with its samples; `kind` is COUNTER, GAUGE or HISTOGRAM (samples are distributions)."""

    name: str
    kind: str
    help: str
    samples: tuple[Sample, ...]


def counter(name: str, text: str, *samples: tuple[Labels, Number]) -> Family:
    """Return a family of counters, which only grow while the farm runs."""
    return Family(name, COUNTER, text, _summed(samples))


def gauge(name: str, text: str, *samples: tuple[Labels, Number]) -> Family:
    return Family(name, GAUGE, text, _summed(samples))


def histogram(name: str, text: str, distribution: Distribution) -> Family:
    return Family(name, HISTOGRAM, text, (Sample({}, distribution),))


def decode(raw: Any) -> Family:
    """Decode a family from JSON as orjson writes it. Raises ValueError, TypeError or KeyError if it is invalid."""
    samples = (Sample(_labels(each["labels"]), _value(raw["kind"], each["value"])) for each in raw["samples"])
    return Family(str(raw["name"]), str(raw["kind"]), str(raw["help"]), tuple(samples))


def _summed(samples: Iterable[tuple[Labels, Number]]) -> tuple[Sample, ...]:
    """Return one summed sample per set of labels, in order of first appearance."""
    found: dict[tuple[tuple[str, str], ...], Number] = {}
    for labels, value in samples:
        key = tuple(labels.items())
        found[key] = found.get(key, 0) + value
    return tuple(Sample(dict(key), value) for key, value in found.items())


def _labels(raw: Mapping[Any, Any]) -> Labels:
    return {str(name): str(value) for name, value in raw.items()}


def _value(kind: str, raw: Any) -> Number | Distribution:
    if kind != HISTOGRAM:
        return raw if isinstance(raw, int) else float(raw)
    limits: Sequence[float] = raw["limits"]
    return Distribution(tuple(limits), tuple(map(int, raw["at_most"])), int(raw["count"]), float(raw["sum"]))
