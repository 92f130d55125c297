"""What is told of the processors: totals since the farm started."""

from collections.abc import Sequence
from typing import Any

from hookfarm.farm.board import Slot
from hookfarm.message_processor import gauges


def blocking_clients(slots: Sequence[Slot]) -> list[int]:
    """The connections that may be blocked in XREADGROUP."""
    return [slot.counter(gauges.CLIENT_ID) for slot in slots if slot.pid and slot.counter(gauges.CLIENT_ID)]


def report(slots: Sequence[Slot]) -> dict[str, Any]:
    """The processors' part of the status."""
    totals = {
        "events_read": gauges.EVENTS_READ,
        "events_matched": gauges.EVENTS_MATCHED,
        "jobs_enqueued": gauges.JOBS_ENQUEUED,
        "rejected": gauges.REJECTED,
        "reclaimed": gauges.RECLAIMED,
    }
    return {name: sum(slot.counter(counter) for slot in slots) for name, counter in totals.items()}
