"""Whether the ingestor is able to work: what is wrong, by source, told to the farm and logged at its edges."""

import time
from collections.abc import Callable

from hookfarm.farm.child import Child
from hookfarm.logs import FieldLogger


class Condition:
    """Up while nothing is wrong. Before `booted` nothing is told, only remembered."""

    def __init__(
        self, child: Child, chain_id: int, log: FieldLogger, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._child = child
        self._chain_id = chain_id
        self._log = log
        self._clock = clock
        self._wrong: dict[str, tuple[str, float]] = {}
        self._booted = False

    @property
    def reason(self) -> str:
        """What went wrong first and still is; empty when all is well."""
        return next((reason for reason, _ in self._wrong.values()), "")

    def booted(self) -> None:
        """All that was needed is there: from now on the farm is told of every change."""
        self._booted = True
        self._tell()

    def wrong(self, source: str, reason: str) -> None:
        """`source` (`redis`, `chain`) fails; logs the first time, keeps the newest reason."""
        _, since = self._wrong.get(source, ("", self._clock()))
        if source not in self._wrong:
            self._log.warning(f"{source} unavailable", chain=self._chain_id, reason=reason)
        self._wrong[source] = (reason, since)
        self._tell()

    def right(self, source: str) -> None:
        """`source` works; logs the recovery with its downtime."""
        if source in self._wrong:
            _, since = self._wrong.pop(source)
            down_seconds = round(self._clock() - since, 3)
            self._log.info(f"{source} recovered", chain=self._chain_id, down_seconds=down_seconds)
            self._tell()

    def _tell(self) -> None:
        if not self._booted:
            return
        if self._wrong:
            self._child.mark_stalled(self.reason)
        else:
            self._child.mark_up()
