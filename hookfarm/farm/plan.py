"""The plan of a farm: worker groups, the stage in which each is stopped, and the master's time-outs."""

import signal
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import IntEnum

from hookfarm.farm.child import Child
from hookfarm.farm.scoreboard import Scoreboard, Slot


class Stage(IntEnum):
    """The time at which a group is stopped: all processes of a stage exit before the next stage gets SIGTERM."""

    KEEPER = 0
    """Gets SIGTERM first, withdraws the readiness (QUIET) before the workers get theirs, exits after them."""
    WORKERS = 1
    DEPENDENCIES = 2
    """What the others need, such as an embedded Redis."""


@dataclass(frozen=True)
class WorkerGroup:
    """Worker processes of one service: `count` processes that run `main(child)`.

    `main` returns to exit with 0, and raises CouldNotBoot (any HookfarmError) if an immediate retry would fail
    again. `prepare` is optional: the process is forked and calls it before the group's turn, so that slow imports
    overlap with the start of the groups before it; its work still begins only at its turn.
    """

    service: str
    count: int
    main: Callable[[Child], None]
    prepare: Callable[[], None] | None = None
    ready_when_announced: bool = False
    """The group is ready when the keeper has marked the service ready, not as soon as all its processes are up."""
    stage: Stage = Stage.WORKERS
    death_signal: int = signal.SIGKILL
    """The signal that the kernel sends to the process when the master dies (PR_SET_PDEATHSIG, prctl(2))."""
    max_count: int = 0
    """The highest count that later plans and resizing may ask for, if that is more than `count`."""
    resizable: bool = False
    """SIGTTIN and SIGTTOU add and remove a process."""
    max_unavailable: int = 1
    """How many processes may be missing at once during a rolling restart."""
    required: frozenset[int] | None = None
    """The processes that must be up before the start goes on, by index; empty = any one of them, None = all.

    The others may be stalled or may have failed to boot: they are tried again while the farm runs.
    """
    progress: Callable[[Slot], int] = lambda slot: 0
    """How far a process is that takes long to get ready. While this grows, the start goes on waiting for it."""

    def has_required(self, up: Collection[int]) -> bool:
        """Return whether these processes are enough for the start to go on."""
        if self.required is None:
            return len(up) == self.count
        return self.required <= set(up) if self.required else bool(up) or not self.count


@dataclass(frozen=True)
class FarmPlan:
    """The groups of a farm. Later plans have the same services in the same order; counts may differ."""

    groups: Sequence[WorkerGroup]
    grace_seconds: float


def scoreboard_for(groups: Sequence[WorkerGroup]) -> Scoreboard:
    """Return a scoreboard with room for the highest count of each group."""
    return Scoreboard({g.service: g.count for g in groups}, {g.service: g.max_count for g in groups})


@dataclass(frozen=True)
class MasterTimeouts:
    """Time-outs of the master for start, heartbeat and stop. Raises ValueError if they contradict each other."""

    boot_seconds: float = 10.0
    """Time from a group's turn, or from its latest progress, until it must be ready."""
    restart_boot_seconds: float = 30.0
    """Time a new process gets in a rolling restart; more than `boot_seconds`, because the machine is busy."""
    hang_seconds: float = 4.0
    """How late a heartbeat may be before the process gets SIGABRT, which prints where it hangs."""
    abort_seconds: float = 1.0
    """Time from SIGABRT to SIGKILL: a hung process has exited 5 s after its heartbeat was due."""
    keeper_stop_seconds: float = 1.0
    """Time the keeper gets to withdraw the readiness, and again to exit."""
    dependency_stop_seconds: float = 5.0
    """Time the dependencies get to exit, after all others have."""
    second_sigterm_seconds: float = 2.0
    """What a second SIGTERM, or a failed start, leaves of the grace period."""

    def __post_init__(self) -> None:
        if self.abort_seconds >= self.hang_seconds:
            raise ValueError("abort_seconds must be shorter than hang_seconds")
