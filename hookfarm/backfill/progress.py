"""How far a backfill is, and how fast it goes."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

RATE_SECONDS = 10.0


@dataclass(frozen=True)
class Progress:
    """At one moment. `blocks` of `total` are read; `added` of their events were handed over, `known` ones
    delivered, queued or told before; `waiting` jobs are in the endpoint's lane. `note` says why it does not get
    on, if it doesn't.
    """

    at_block: int | None
    blocks: int
    total: int
    added: int
    known: int
    waiting: int
    blocks_per_second: float | None
    note: str = ""

    @property
    def seconds_left(self) -> float | None:
        """None while that can't be told."""
        if not self.blocks_per_second or self.note:
            return None
        return (self.total - self.blocks) / self.blocks_per_second


class Speed:
    """Blocks per second over the last RATE_SECONDS, pauses included."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._points: deque[tuple[float, int]] = deque()

    def at(self, blocks: int) -> float | None:
        """So many are read now; None until there is something to compare with."""
        now = self._clock()
        self._points.append((now, blocks))
        while len(self._points) > 2 and self._points[1][0] <= now - RATE_SECONDS:
            self._points.popleft()
        (since, first), (until, last) = self._points[0], self._points[-1]
        return (last - first) / (until - since) if until > since else None
