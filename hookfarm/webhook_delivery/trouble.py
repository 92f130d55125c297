"""A Redis that fails a worker: said once when it begins and once when it is over, and asked ever less eagerly.

Over is when a whole iteration has succeeded. A connection alone proves nothing: a server that refuses BRPOP (a
key of the wrong type, a replica) takes every connection.
"""

import time
from collections.abc import Callable

from hookfarm.farm.child import Child
from hookfarm.logs import FieldLogger

FIRST_WAIT_SECONDS = 0.05
LONGEST_WAIT_SECONDS = 1.0


class Trouble:
    """Between the first failure and the next iteration that succeeds the child is stalled."""

    def __init__(self, child: Child, log: FieldLogger, clock: Callable[[], float] = time.monotonic) -> None:
        self._child = child
        self._log = log
        self._clock = clock
        self._since: float | None = None
        self._failures = 0

    @property
    def lasts(self) -> bool:
        """Whether something has failed and nothing succeeded since."""
        return self._since is not None

    def failed(self, reason: Callable[[], str]) -> float:
        """One more failure; returns how many seconds to wait before trying again, before jitter.

        `reason` is asked for the first only, since finding it may take another question to Redis.
        """
        wait = min(FIRST_WAIT_SECONDS * 2.0 ** min(self._failures, 10), LONGEST_WAIT_SECONDS)
        self._failures += 1
        if self._since is None:
            self._since = self._clock()
            said = reason()
            self._child.mark_stalled(f"Redis: {said}")
            self._log.warning("redis is gone", child=self._child.name, error=said)
        return wait

    def over(self) -> None:
        """A whole iteration has succeeded; nothing happens where none had failed."""
        if self._since is None:
            return
        down_seconds = round(self._clock() - self._since, 1)
        self._log.info("redis is back", child=self._child.name, after_s=down_seconds)
        self._since = None
        self._failures = 0
        self._child.mark_up()
