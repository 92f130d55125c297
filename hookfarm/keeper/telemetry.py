"""The keeper's counters, and the metrics of a whole farm: of its services and of its processes."""

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from hookfarm.farm.scoreboard import Scoreboard, Slot
from hookfarm.metrics import Family, counter, gauge
from hookfarm.store import keys

ORPHANS = 0
"""Counter of the keeper's slot: orphans that the sweep requeued."""
WORKERS_LOST = 1
"""Counter of the keeper's slot: jobs that became dead letters because too many workers died with them."""
STALLS = 2
"""First of the counters per chain in the keeper's slot: 1 = the chain's stall was reported."""
MASTER = "master"
PREFIX = "hookfarm_processes"
Measure = Callable[[Sequence[Slot]], Iterable[Family]]


def families(scoreboard: Scoreboard, measures: Mapping[str, Measure], keeper: str) -> Iterable[Family]:
    """Return all metrics. `measures`: functions for the services' metrics, by name; `keeper`: service with the
    counters above."""
    for service, measure in measures.items():
        if scoreboard.target(service):
            yield from measure(scoreboard.slots(service))
    if keys.WEBHOOK_DELIVERY in scoreboard.services:
        yield from _sweep(scoreboard.slots(keeper)[0])
    yield from _processes(scoreboard)
    yield from _resources(_pids(scoreboard))


def _sweep(slot: Slot) -> Iterable[Family]:
    yield counter(
        f"{keys.WEBHOOK_DELIVERY}_orphans_recovered",
        "Jobs without a worker that the sweep requeued.",
        ({}, slot.counter(ORPHANS)),
    )
    yield counter(
        f"{keys.WEBHOOK_DELIVERY}_dead_letters",
        "Jobs that became dead letters, by reason.",
        ({"reason": "worker_lost"}, slot.counter(WORKERS_LOST)),
    )


def _processes(scoreboard: Scoreboard) -> Iterable[Family]:
    first = {service: first_slots(scoreboard, service) for service in scoreboard.services}
    yield gauge(
        f"{PREFIX}_wanted",
        "Target number of processes.",
        *(({"service": service}, scoreboard.process_count(service)) for service in first),
    )
    yield gauge(
        f"{PREFIX}_up",
        "Processes that are up; an ingestor with all its chains.",
        *(({"service": service}, processes_up(scoreboard, service)) for service in first),
    )
    yield counter(
        f"{PREFIX}_started",
        "Processes forked, replacements included.",
        *(({"service": service}, sum(slot.forks for slot in of)) for service, of in first.items()),
    )
    yield counter(
        f"{PREFIX}_died",
        "Processes that exited unplanned; each is replaced.",
        *(({"service": service}, sum(slot.crashes for slot in of)) for service, of in first.items()),
    )


def first_slots(scoreboard: Scoreboard, service: str) -> Sequence[Slot]:
    """Return the first slot of each process that ever was within the target count."""
    slots = scoreboard.slots(service)
    return slots[: scoreboard.process_count(service, len(slots))]


def processes_up(scoreboard: Scoreboard, service: str) -> int:
    """Return the number of processes of which all slots are up."""
    slots, indices = scoreboard.slots(service), range(scoreboard.process_count(service))
    return sum(all(slots[place].is_up for place in scoreboard.places(service, index)) for index in indices)


def _pids(scoreboard: Scoreboard) -> dict[str, list[int]]:
    """Return pids by service, including the master, which is the keeper's parent."""
    found = {
        service: [slot.pid for slot in first_slots(scoreboard, service) if slot.pid]
        for service in scoreboard.services
    }
    return {MASTER: [os.getppid()], **found}


def _resources(pids: Mapping[str, Sequence[int]]) -> Iterable[Family]:
    """Yield memory and descriptors by service; empty without /proc (Linux only)."""
    measured = {service: [found for pid in of if (found := _resources_of(pid))] for service, of in pids.items()}
    measured = {service: of for service, of in measured.items() if of}
    if not measured:
        return
    yield gauge(
        f"{PREFIX}_resident_memory_bytes",
        "Resident memory summed over processes; shared memory counts in each.",
        *(({"service": service}, sum(memory for memory, _ in of)) for service, of in measured.items()),
    )
    yield gauge(
        f"{PREFIX}_open_fds",
        "Open file descriptors summed over processes.",
        *(({"service": service}, sum(files for _, files in of)) for service, of in measured.items()),
    )


def _resources_of(pid: int) -> tuple[int, int] | None:
    """Return resident bytes and open files; None if the process has exited."""
    directory = Path("/proc") / str(pid)
    with contextlib.suppress(OSError, ValueError, IndexError):
        resident = int((directory / "statm").read_text().split()[1])
        return resident * os.sysconf("SC_PAGE_SIZE"), len(os.listdir(directory / "fd"))
    return None
