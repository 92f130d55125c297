"""How a chain is being caught up with: the two edges and a line now and then in the log, and the gauges."""

import time
from collections import deque
from collections.abc import Callable

from hookfarm.event_ingestor.counters import Gauges
from hookfarm.logs import FieldLogger

FAR_BLOCKS = 32
"""More blocks than this behind the head is worth a log line."""
LINE_SECONDS = 10.0
RATE_SECONDS = 10.0
"""The time over which the speed is taken, so that it follows what nodes allow."""


class Progress:
    """Told where the checkpoint and the head are; says so where that is far apart."""

    def __init__(
        self, chain_id: int, gauges: Gauges, log: FieldLogger, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._chain_id = chain_id
        self._gauges = gauges
        self._log = log
        self._clock = clock
        self._since: tuple[float, int] | None = None
        self._said_at = 0.0
        self._points: deque[tuple[float, int]] = deque()

    def at(self, checkpoint: int, head: int) -> None:
        now, left = self._clock(), head - checkpoint
        if self._since is None and left > FAR_BLOCKS:
            self._since = (now, checkpoint)
            self._said_at = now
            self._log.info("catching up", chain=self._chain_id, blocks_left=left)
        if self._since is not None and left > 0:
            self._on_the_way(now, checkpoint, left)
        elif self._since is not None:
            self._arrived(now, checkpoint, *self._since)

    def _on_the_way(self, now: float, checkpoint: int, left: int) -> None:
        per_second = self._speed(now, checkpoint)
        seconds_left = left / per_second if per_second else 0.0
        self._gauges.catching_up(per_second, seconds_left)
        if now - self._said_at >= LINE_SECONDS:
            self._said_at = now
            self._log.info(
                "catching up",
                chain=self._chain_id,
                blocks_left=left,
                blocks_per_second=round(per_second, 1),
                seconds_left=round(seconds_left),
            )

    def _arrived(self, now: float, checkpoint: int, began: float, first: int) -> None:
        self._since = None
        self._points.clear()
        self._gauges.caught_up()
        took = round(now - began, 1)
        self._log.info(
            "caught up", chain=self._chain_id, checkpoint=checkpoint, blocks=checkpoint - first, seconds=took
        )

    def _speed(self, now: float, checkpoint: int) -> float:
        """Blocks per second; 0 while that cannot be told. A reorg on the way starts the count again."""
        if self._points and self._points[-1][1] > checkpoint:
            self._points.clear()
        self._points.append((now, checkpoint))
        while len(self._points) > 2 and self._points[1][0] <= now - RATE_SECONDS:
            self._points.popleft()
        (since, first), (until, last) = self._points[0], self._points[-1]
        return (last - first) / (until - since) if until > since else 0.0
