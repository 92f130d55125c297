"""Plan of a farm: worker groups, their stop stages, and the master's time-outs."""

import signal
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import IntEnum

from hookfarm.farm.child import Child
from hookfarm.farm.scoreboard import Scoreboard, Slot


class Stage(IntEnum):
    """Stop stage of a group: all processes of a stage exit before the next stage gets SIGTERM."""

    KEEPER = 0
    """Gets SIGTERM first, withdraws the readiness (QUIET) before the workers get SIGTERM, exits after them."""
    WORKERS = 1
    DEPENDENCIES = 2
    """Processes that the workers need, such as an embedded Redis."""


@dataclass(frozen=True)
class WorkerGroup:
    """Worker processes of one service: `count` slots, with a process each that runs `main(child)`.

    `main` returns to exit with 0, and raises CouldNotBoot (any HookfarmError) if an immediate retry would fail
    again. A process with `prepare` is forked early and calls it before the group's turn. So slow imports overlap
    with the start of earlier groups; `main` still runs only at the group's turn.
    """

    service: str
    count: int
    main: Callable[[Child], None]
    prepare: Callable[[], None] | None = None
    ready_when_announced: bool = False
    """Whether the group is ready when the keeper marks the service ready, not when its processes are up."""
    stage: Stage = Stage.WORKERS
    death_signal: int = signal.SIGKILL
    """Signal from the kernel when the master dies (PR_SET_PDEATHSIG, prctl(2))."""
    max_count: int = 0
    """Maximum count of later plans and resizing, if more than `count`."""
    max_processes: int = 0
    """Maximum processes, which share the slots; 0 = one process per slot. Later plans cannot change it."""
    resizable: bool = False
    """Whether SIGTTIN and SIGTTOU add and remove a process."""
    max_unavailable: int = 1
    """Maximum processes missing at once during a rolling restart."""
    required: frozenset[int] | None = None
    """Indices of the slots that must be up before the start continues; empty = any one, None = all.

    The others may be stalled or may have failed to boot: they are retried while the farm runs.
    """
    progress: Callable[[Slot], int] = lambda slot: 0
    """Progress of a process that boots slowly; while it grows, the start waits."""

    def has_required(self, up: Collection[int]) -> bool:
        """Return whether the start can continue with these slots."""
        if self.required is None:
            return len(up) == self.count
        return self.required <= set(up) if self.required else bool(up) or not self.count


@dataclass(frozen=True)
class FarmPlan:
    """Groups of a farm. Later plans have the same services in the same order; counts may differ."""

    groups: Sequence[WorkerGroup]
    grace_seconds: float


def scoreboard_for(groups: Sequence[WorkerGroup]) -> Scoreboard:
    """Return a scoreboard with slots for the maximum count of each group."""
    return Scoreboard(
        {g.service: g.count for g in groups},
        {g.service: g.max_count for g in groups},
        {g.service: g.max_processes for g in groups},
    )


@dataclass(frozen=True)
class MasterTimeouts:
    """Time-outs of the master for start, heartbeat and stop. Raises ValueError if they contradict each other."""

    boot_seconds: float = 10.0
    """Time from a group's turn, or from its latest progress, until it must be ready."""
    restart_boot_seconds: float = 30.0
    """Boot time during a rolling restart; longer than `boot_seconds`, because the machine is busy."""
    hang_seconds: float = 4.0
    """Maximum delay of a heartbeat before the process gets SIGABRT, which prints its stack."""
    abort_seconds: float = 1.0
    """Time from SIGABRT to SIGKILL; a hung process is gone 5 s after its heartbeat was due."""
    keeper_stop_seconds: float = 1.0
    """Time for the keeper to withdraw the readiness, and again to exit."""
    dependency_stop_seconds: float = 5.0
    """Time for the dependencies to exit, after all other processes."""
    second_sigterm_seconds: float = 2.0
    """Rest of the grace period after a second SIGTERM or a failed start."""

    def __post_init__(self) -> None:
        if self.abort_seconds >= self.hang_seconds:
            raise ValueError("abort_seconds must be shorter than hang_seconds")
