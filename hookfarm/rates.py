"""The rate of a growing number over a sliding window."""

from collections import deque


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
