"""Deliveries per second, from totals that are looked at now and then."""

from collections import deque
from collections.abc import Mapping
from typing import Any

from hookfarm import timestamps

RATE_SECONDS = 5.0
"""What the rate is the average of: longer than a block, so that a burst a block shows as its mean."""
KEPT_SAMPLES = 100
SECOND = 0.95
"""A status written a little early still makes its second full."""


class Rates:
    """One per viewer. By the clock of the farm: it does not matter how often or how evenly somebody looks."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque(maxlen=KEPT_SAMPLES)

    def note(self, status: Mapping[str, Any]) -> None:
        """Takes the delivery processes' status, if it was written since the last one.

        A count that fell is a farm that began anew.
        """
        delivered, timestamp = status.get("delivered"), status.get("timestamp")
        if delivered is None or timestamp is None:
            return
        at = timestamps.parse(timestamp)
        if self._samples and delivered < self._samples[-1][1]:
            self._samples.clear()
        if not self._samples or at > self._samples[-1][0]:
            self._samples.append((at, delivered))

    @property
    def per_second(self) -> float | None:
        """The mean of the last RATE_SECONDS; None before there are two looks."""
        if len(self._samples) < 2:
            return None
        now, total = self._samples[-1]
        recent = [s for s in self._samples if now - RATE_SECONDS <= s[0] < now] or [self._samples[-2]]
        began, before = recent[0]
        return (total - before) / (now - began)

    @property
    def each_second(self) -> tuple[float, ...]:
        """One rate for each second or so, however often the farm writes; the latest last."""
        rates: list[float] = []
        began, before = self._samples[0] if self._samples else (0.0, 0)
        for now, total in self._samples:
            if now - began >= SECOND:
                rates.append((total - before) / (now - began))
                began, before = now, total
        return tuple(rates)
