"""The rate of a growing number over a sliding window."""

from collections import deque
from collections.abc import Mapping
from typing import Any

from hookfarm import timestamps


class SlidingRate:
    """Rate of a growing number in units per second over the last `window_seconds`, pauses included."""

    def __init__(self, window_seconds: float) -> None:
        self._window_seconds = window_seconds
        self._samples: deque[tuple[float, int]] = deque()

    def add(self, now: float, total: int) -> float | None:
        """Add a sample and return the rate; None for the first sample.

        A total below the last one restarts the window.
        """
        samples = self._samples
        if samples and samples[-1][1] > total:
            samples.clear()
        samples.append((now, total))
        while len(samples) > 2 and samples[1][0] <= now - self._window_seconds:
            samples.popleft()
        (since, first), (until, last) = samples[0], samples[-1]
        return (last - first) / (until - since) if until > since else None

    def clear(self) -> None:
        """Restart the window."""
        self._samples.clear()


MEAN_SECONDS = 5.0
"""Longer than most block times, so that one burst per block is smoothed."""
MAX_SAMPLES = 100
MIN_SECOND = 0.95
"""Slightly less than a second, so that a status written early completes its second."""


class Rates:
    """Rates of deliveries for one viewer, by the statuses' timestamps, independent of the times of calls."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque(maxlen=MAX_SAMPLES)

    def observe(self, status: Mapping[str, Any]) -> None:
        """Add the status of the delivery processes, if it is newer than the last one.

        A falling total means a restarted farm.
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
        """Mean rate of the last MEAN_SECONDS; None before the second sample."""
        if len(self._samples) < 2:
            return None
        now, total = self._samples[-1]
        recent = [s for s in self._samples if now - MEAN_SECONDS <= s[0] < now] or [self._samples[-2]]
        began, before = recent[0]
        return (total - before) / (now - began)

    @property
    def each_second(self) -> tuple[float, ...]:
        """About one rate per second, the latest last, independent of how often the status is written."""
        rates: list[float] = []
        began, before = self._samples[0] if self._samples else (0.0, 0)
        for now, total in self._samples:
            if now - began >= MIN_SECOND:
                rates.append((total - before) / (now - began))
                began, before = now, total
        return tuple(rates)
