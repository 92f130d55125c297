"""Latencies of the last seconds, where the workers' histograms count since the farm started."""

import time
from collections import deque
from collections.abc import Callable, Sequence

from hookfarm.webhook_delivery import counters

SECONDS = 10.0
EVERY_SECONDS = 1.0
"""How often the totals are remembered, so that the window is as long as this and SECONDS at most."""


class RecentTimes:
    """One per histogram; give it the totals now and then."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: deque[tuple[float, Sequence[int]]] = deque()

    def quantiles(self, totals: Sequence[int]) -> dict[str, float | None]:
        """`p50` and `p99` in seconds of what was added to the totals in the last SECONDS; None where none."""
        now = self._clock()
        while len(self._kept) > 1 and self._kept[1][0] <= now - SECONDS:
            self._kept.popleft()
        before = self._kept[0][1] if self._kept else totals
        if not self._kept or now - self._kept[-1][0] >= EVERY_SECONDS:
            self._kept.append((now, totals))
        added = [max(0, total - was) for total, was in zip(totals, before, strict=True)]
        return {"p50": counters.quantile_seconds(added, 0.5), "p99": counters.quantile_seconds(added, 0.99)}
