"""What is told of the processors: totals since the farm started, and which chains they read."""

from collections.abc import Iterator, Sequence
from typing import Any

from hookfarm.farm.scoreboard import Slot
from hookfarm.message_processor import counters


def blocking_clients(slots: Sequence[Slot]) -> list[int]:
    """The connections that may be blocked in XREADGROUP."""
    return [slot.counter(counters.CLIENT_ID) for slot in slots if slot.pid and slot.counter(counters.CLIENT_ID)]


def report(slots: Sequence[Slot]) -> dict[str, Any]:
    """The processors' part of the status."""
    totals = {
        "events_read": counters.EVENTS_READ,
        "events_matched": counters.EVENTS_MATCHED,
        "jobs_enqueued": counters.JOBS_ENQUEUED,
        "rejected": counters.REJECTED,
        "reclaimed": counters.RECLAIMED,
    }
    counted = {name: sum(slot.counter(counter) for slot in slots) for name, counter in totals.items()}
    return {**counted, "chains": chains_read(slots)}


def chains_read(slots: Sequence[Slot]) -> list[int]:
    """The chains whose streams any of them reads."""
    return sorted({chain for slot in slots for chain in _chains(slot)})


def show_chains(slot: Slot, chain_ids: Sequence[int]) -> None:
    """A processor tells which streams it reads."""
    shown = chain_ids[: counters.MOST_CHAINS]
    for place, chain_id in enumerate(shown, counters.CHAINS + 1):
        slot.set_counter(place, chain_id)
    slot.set_counter(counters.CHAINS, len(shown))


def _chains(slot: Slot) -> Iterator[int]:
    """A slot of nobody keeps what its last process has told."""
    if slot.pid:
        first = counters.CHAINS + 1
        yield from map(slot.counter, range(first, first + slot.counter(counters.CHAINS)))
