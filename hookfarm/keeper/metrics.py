"""What a farm tells of itself at the roll call: its services' own numbers, and those of its processes."""

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from hookfarm.farm.scoreboard import Board, Slot, State
from hookfarm.keeper import counters
from hookfarm.metrics import Family, counter, gauge
from hookfarm.store import keys

MASTER = "master"
PREFIX = "hookfarm_processes"
Measure = Callable[[Sequence[Slot]], Iterable[Family]]


def families(board: Board, measures: Mapping[str, Measure], keeper: str) -> Iterable[Family]:
    """`measures` are the services' own, by name; `keeper` is the service whose slot has the keeper's gauges."""
    for service, measure in measures.items():
        if board.wanted(service):
            yield from measure(board.slots(service))
    if keys.WEBHOOK_DELIVERY in board.services:
        yield from _found(board.slots(keeper)[0])
    yield from _lives(board)
    yield from _burdens(_pids(board))


def _found(slot: Slot) -> Iterable[Family]:
    yield counter(
        f"{keys.WEBHOOK_DELIVERY}_orphans_recovered",
        "Jobs in nobody's hands that the sweep found and queued again.",
        ({}, slot.counter(counters.ORPHANS)),
    )
    yield counter(
        f"{keys.WEBHOOK_DELIVERY}_dead_letters",
        "Jobs given up, by reason.",
        ({"reason": "worker_lost"}, slot.counter(counters.WORKERS_LOST)),
    )


def _lives(board: Board) -> Iterable[Family]:
    slots = {service: board.slots(service) for service in board.services}
    yield gauge(
        f"{PREFIX}_wanted",
        "Processes that there are to be.",
        *(({"service": service}, board.wanted(service)) for service in slots),
    )
    yield gauge(
        f"{PREFIX}_up",
        "Processes that do their work.",
        *(
            ({"service": s}, sum(slot.pid != 0 and slot.state == State.UP for slot in of))
            for s, of in slots.items()
        ),
    )
    yield counter(
        f"{PREFIX}_started",
        "Processes forked, replacements included.",
        *(({"service": service}, sum(slot.forks for slot in of)) for service, of in slots.items()),
    )
    yield counter(
        f"{PREFIX}_died",
        "Processes that went unasked; each is replaced.",
        *(({"service": service}, sum(slot.deaths for slot in of)) for service, of in slots.items()),
    )


def _pids(board: Board) -> dict[str, list[int]]:
    """By service. The keeper's parent is the master."""
    found = {service: [slot.pid for slot in board.slots(service) if slot.pid] for service in board.services}
    return {MASTER: [os.getppid()], **found}


def _burdens(pids: Mapping[str, Sequence[int]]) -> Iterable[Family]:
    """Only where the kernel tells (Linux); of processes that are gone meanwhile, nothing."""
    measured = {service: [burden for pid in of if (burden := _burden(pid))] for service, of in pids.items()}
    measured = {service: of for service, of in measured.items() if of}
    if not measured:
        return
    yield gauge(
        f"{PREFIX}_resident_memory_bytes",
        "Resident memory summed over processes; what they share is counted in each.",
        *(({"service": service}, sum(memory for memory, _ in of)) for service, of in measured.items()),
    )
    yield gauge(
        f"{PREFIX}_open_fds",
        "Open file descriptors summed over processes.",
        *(({"service": service}, sum(files for _, files in of)) for service, of in measured.items()),
    )


def _burden(pid: int) -> tuple[int, int] | None:
    """Bytes resident and open files."""
    place = Path("/proc") / str(pid)
    with contextlib.suppress(OSError, ValueError, IndexError):
        resident = int((place / "statm").read_text().split()[1])
        return resident * os.sysconf("SC_PAGE_SIZE"), len(os.listdir(place / "fd"))
    return None
