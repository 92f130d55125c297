"""One webhook as it arrived, and what is counted of them."""

from collections import OrderedDict
from dataclasses import dataclass, field

from hookfarm.receiver.verification import Judgement, Verdict

REMEMBERED_IDS = 100_000
"""How many of the latest webhook-ids are known again: 15 MB, an hour at 30 a second."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """`at` is Unix time; header values are as they came, empty where there was none."""

    at: float
    webhook_id: str
    attempt: str
    verdict: Verdict
    body: bytes


@dataclass
class Tally:
    """Counts arrivals. `repeated` are those whose id had come before, among the last REMEMBERED_IDS."""

    received: int = 0
    repeated: int = 0
    judged: dict[Judgement, int] = field(default_factory=lambda: dict.fromkeys(Judgement, 0))
    _seen: "OrderedDict[str, None]" = field(default_factory=OrderedDict)

    def count(self, arrival: Arrival) -> None:
        self.received += 1
        self.judged[arrival.verdict.judgement] += 1
        if arrival.verdict.judgement is Judgement.NOT_VERIFIED:
            return  # Anybody can send any id.
        if arrival.webhook_id in self._seen:
            self.repeated += 1
            self._seen.move_to_end(arrival.webhook_id)
            return
        self._seen[arrival.webhook_id] = None
        if len(self._seen) > REMEMBERED_IDS:
            self._seen.popitem(last=False)
