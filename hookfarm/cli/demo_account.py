"""The demo's proof: every log of the chain against every webhook that arrived with a valid signature."""

from collections import OrderedDict
from collections.abc import Iterable

REMEMBERED = 100_000
"""How many of the latest deliveries are known again when they come a second time."""


class Account:
    """Counts a log as verified once its webhook has arrived, whichever of the two is heard of first.

    A webhook that comes again with its id is `repeated`, as at-least-once allows. Anything else, a webhook of
    no log or a second id for one log, is `unknown`, and makes the account wrong.
    """

    def __init__(self) -> None:
        self.emitted = 0
        self.verified = 0
        self.repeated = 0
        self._owed: OrderedDict[str, None] = OrderedDict()
        self._early: OrderedDict[str, str] = OrderedDict()
        self._settled: OrderedDict[str, str] = OrderedDict()
        self._contradicted = 0

    @property
    def missing(self) -> list[str]:
        """The logs whose webhook has not arrived, the oldest first."""
        return list(self._owed)

    @property
    def unknown(self) -> int:
        return len(self._early) + self._contradicted

    @property
    def balanced(self) -> bool:
        """Every log has its webhook, every webhook its log."""
        return self.verified == self.emitted and not self.unknown

    def emit(self, logs: Iterable[str]) -> None:
        """Logs on the chain, each once, as `<block hash>:<log index>`."""
        for log in logs:
            self.emitted += 1
            if log in self._early:
                self._settle(log, self._early.pop(log))
            else:
                self._owed[log] = None

    def arrive(self, log: str, webhook_id: str) -> None:
        """A verified webhook that says it carries `log`."""
        if log in self._owed:
            del self._owed[log]
            self._settle(log, webhook_id)
            return
        known = self._settled.get(log) or self._early.get(log)
        if known is None:
            self._early[log] = webhook_id
        elif known == webhook_id:
            self.repeated += 1
        else:
            self._contradicted += 1

    def _settle(self, log: str, webhook_id: str) -> None:
        self.verified += 1
        self._settled[log] = webhook_id
        if len(self._settled) > REMEMBERED:
            self._settled.popitem(last=False)
