"""Outages of a worker's dependencies (`redis`, `chain`, `stream 1`), logged at first failure and recovery."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from hookfarm.backoff import delay
from hookfarm.farm.child import Child
from hookfarm.farm.scoreboard import Slot
from hookfarm.logs import FieldLogger

FIRST_DELAY_SECONDS = 0.05
MAX_DELAY_SECONDS = 1.0


@dataclass
class _Outage:
    """An outage of one source: its reason, its start and the number of failures."""

    reason: str
    since: float
    failures: int = 0


class Outage:
    """The current outages of one worker's dependencies, by source. A worker is a process, or one of its slots.

    Logs `<source> down` once with its reason, and `<source> up` once with `downtime_s`. The worker is stalled
    while any source is down, and marked up when the last one recovers; one created `booting` not before `booted`.
    """

    def __init__(
        self,
        worker: Child | Slot,
        log: FieldLogger,
        /,
        *,
        booting: bool = False,
        on_change: Callable[[tuple[str, ...]], None] = lambda _sources: None,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] | None = None,
        **fields: object,
    ) -> None:
        """Add `fields` to each log line; `chance` returns a random number from 0 to 1.

        `on_change` is called with `sources` after each failure and recovery, also while the worker boots.
        """
        self._worker = worker
        self._log = log
        self._booting = booting
        self._on_change = on_change
        self._clock = clock
        # A new seed: processes forked from one parent would otherwise all retry at the same time.
        self._chance = chance or random.Random().random
        self._fields = fields
        self._down: dict[str, _Outage] = {}

    @property
    def is_ongoing(self) -> bool:
        return bool(self._down)

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources that are down, the first failure first."""
        return tuple(self._down)

    @property
    def reason(self) -> str:
        """The reason of the oldest outage; empty without an outage."""
        return next((down.reason for down in self._down.values()), "")

    def booted(self) -> None:
        """End the boot: the worker is up unless a source is down."""
        self._booting = False
        self._mark()

    def fail(self, source: str, reason: str | Callable[[], str]) -> float:
        """Record a failure. Return the seconds to wait before the next try.

        A callable `reason` is called for the first failure only; a string replaces the earlier reason.
        """
        down = self._down.get(source)
        if down is None:
            down = self._down[source] = _Outage(reason if isinstance(reason, str) else reason(), self._clock())
            self._log.warning(f"{source} down", **self._fields, reason=down.reason)
        elif isinstance(reason, str):
            down.reason = reason
        wait = delay(down.failures, FIRST_DELAY_SECONDS, MAX_DELAY_SECONDS, self._chance())
        down.failures += 1
        self._mark()
        return wait

    def recover(self, source: str) -> None:
        """Record a success; ignored unless the source is down."""
        down = self._down.pop(source, None)
        if down is not None:
            self._log.info(f"{source} up", **self._fields, downtime_s=round(self._clock() - down.since, 1))
            self._mark()

    def _mark(self) -> None:
        self._on_change(self.sources)
        if self._down:
            self._worker.mark_stalled(self.reason)
        elif not self._booting:
            self._worker.mark_up()
