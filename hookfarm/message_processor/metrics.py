"""What the processors have counted, as metrics."""

from collections.abc import Iterable, Sequence

from hookfarm.farm.scoreboard import Slot
from hookfarm.message_processor import counters, status
from hookfarm.metrics import Family, counter, gauge

PREFIX = "message_processor"
_COUNTED = {
    "events_read": (counters.EVENTS_READ, "Stream entries handled, good or bad."),
    "events_matched": (counters.EVENTS_MATCHED, "Events that at least one endpoint wanted."),
    "jobs_enqueued": (counters.JOBS_ENQUEUED, "Deliveries put into the queue."),
    "entries_rejected": (counters.REJECTED, "Entries that were no events and are dead letters now."),
    "entries_reclaimed": (counters.RECLAIMED, "Entries taken over from a consumer that had left them pending."),
}


def families(slots: Sequence[Slot]) -> Iterable[Family]:
    """Sums over all processes that ever were in these slots; gauges of those that are there."""
    for name, (index, text) in _COUNTED.items():
        yield counter(f"{PREFIX}_{name}", text, ({}, sum(slot.counter(index) for slot in slots)))
    live = [slot for slot in slots if slot.pid]
    yield gauge(
        f"{PREFIX}_endpoints",
        "Endpoints that are matched against.",
        ({}, max((slot.counter(counters.ENDPOINTS) for slot in live), default=0)),
    )
    yield gauge(
        f"{PREFIX}_chain_followed",
        "1 for each chain whose stream is read.",
        *(({"chain_id": str(chain_id)}, 1) for chain_id in status.chains_read(live)),
    )
