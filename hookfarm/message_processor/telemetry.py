"""Counters in a processor's slot, and the report and metrics made of them."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypedDict, cast

from hookfarm.farm.scoreboard import Slot
from hookfarm.metrics import Family, counter, gauge

# Counters of a slot, by index.

EVENTS_READ = 0
"""Processed stream entries, valid or not."""
EVENTS_MATCHED = 1
"""Events that matched at least one endpoint."""
JOBS_ENQUEUED = 2
REJECTED = 3
"""Invalid entries, now dead letters."""
RECLAIMED = 4
"""Pending entries claimed from other consumers, predecessors of the same name included."""
REGISTRY_REVISION = 5
"""The registry revision of the index; not a count."""
CLIENT_ID = 6
"""Client id of its Redis connection, for CLIENT UNBLOCK."""
ENDPOINTS = 7
"""The number of endpoints in the index; not a count."""
CHAINS = 8
"""Number of chains that are read; the next counters are their ids."""
MAX_CHAINS = 128
"""Further chains are read, but not reported."""
LOADED = CHAINS + MAX_CHAINS + 1
"""Number of endpoints loaded by the latest read of the registry; not a count."""

_PREFIX = "message_processor"
_TOTALS = {
    "events_read": EVENTS_READ,
    "events_matched": EVENTS_MATCHED,
    "jobs_enqueued": JOBS_ENQUEUED,
    "rejected": REJECTED,
    "reclaimed": RECLAIMED,
}
_COUNTER_METRICS = {
    "events_read": (EVENTS_READ, "Stream entries processed, valid or not."),
    "events_matched": (EVENTS_MATCHED, "Events that matched at least one endpoint."),
    "jobs_enqueued": (JOBS_ENQUEUED, "Jobs put into the queue."),
    "entries_rejected": (REJECTED, "Invalid entries, now dead letters."),
    "entries_reclaimed": (RECLAIMED, "Pending entries claimed from other consumers."),
}


class ProcessorReport(TypedDict, total=False):
    """The processors' report: totals since the farm started, and the chains that they read."""

    events_read: int
    events_matched: int
    jobs_enqueued: int
    rejected: int
    reclaimed: int
    chains: list[int]


def set_chains(slot: Slot, chain_ids: Sequence[int]) -> None:
    """Store the chains that a processor reads in its slot."""
    reported = chain_ids[:MAX_CHAINS]
    for index, chain_id in enumerate(reported, CHAINS + 1):
        slot.set_counter(index, chain_id)
    slot.set_counter(CHAINS, len(reported))


def read_chains(slots: Sequence[Slot]) -> list[int]:
    """Return the chains that any live processor reads."""
    return sorted({chain for slot in slots for chain in _chains(slot)})


def _chains(slot: Slot) -> Iterator[int]:
    if slot.pid:  # A slot without a process keeps the chains of its last one.
        first = CHAINS + 1
        yield from map(slot.counter, range(first, first + slot.counter(CHAINS)))


def loaded(slot: Slot) -> int:
    """Return the progress of loading the registry: endpoints so far."""
    return slot.counter(LOADED)


def blocking_clients(slots: Sequence[Slot]) -> list[int]:
    """Return the ids of the connections that may be blocked in XREADGROUP."""
    return [slot.counter(CLIENT_ID) for slot in slots if slot.pid and slot.counter(CLIENT_ID)]


def report(slots: Sequence[Slot]) -> ProcessorReport:
    """Return the processors' report."""
    totals = {name: sum(slot.counter(index) for slot in slots) for name, index in _TOTALS.items()}
    return cast(ProcessorReport, {**totals, "chains": read_chains(slots)})


def families(slots: Sequence[Slot]) -> Iterable[Family]:
    """Yield the metrics: counters summed over all processes since the farm's start, gauges of live ones."""
    for name, (index, text) in _COUNTER_METRICS.items():
        yield counter(f"{_PREFIX}_{name}", text, ({}, sum(slot.counter(index) for slot in slots)))
    live = [slot for slot in slots if slot.pid]
    yield gauge(
        f"{_PREFIX}_endpoints",
        "Endpoints in the index.",
        ({}, max((slot.counter(ENDPOINTS) for slot in live), default=0)),
    )
    yield gauge(
        f"{_PREFIX}_chain_followed",
        "1 for each chain whose stream is read.",
        *(({"chain_id": str(chain_id)}, 1) for chain_id in read_chains(live)),
    )
