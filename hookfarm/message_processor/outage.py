"""A server that is gone: said once when it goes and once when it is back, and asked ever less eagerly."""

import random
import time

from hookfarm.logs import FieldLogger

FIRST_WAIT_SECONDS = 0.05
LONGEST_WAIT_SECONDS = 1.0


class Outage:
    """Between the first failure and the next success."""

    def __init__(self, log: FieldLogger) -> None:
        self._log = log
        # Seeded anew, or processes forked from one parent would all come back at the same moments.
        self._random = random.Random()
        self._since: float | None = None
        self._failures = 0

    @property
    def lasts(self) -> bool:
        """Whether it has failed and not worked since."""
        return self._since is not None

    def failed(self, reason: str) -> float:
        """Another failure; returns how many seconds to wait before trying again (jittered)."""
        if self._since is None:
            self._since = time.monotonic()
            self._log.warning("redis lost", reason=reason)
        longest = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * (1 << min(self._failures, 10)))
        self._failures += 1
        return longest * self._random.uniform(0.5, 1.0)

    def over(self) -> None:
        """It works; nothing happens where it had not failed."""
        if self._since is not None:
            self._log.info("redis back", downtime_seconds=round(time.monotonic() - self._since, 3))
        self._since = None
        self._failures = 0
