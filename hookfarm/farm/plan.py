"""What the master is asked to run."""

import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from hookfarm.farm.child import Child
from hookfarm.farm.scoreboard import Board


class Stage(IntEnum):
    """When a group is stopped: every child of a stage is gone before the next stage is told."""

    HERALD = 0
    """Told first, and heard (QUIET) before anybody else is told; leaves by itself after the workers."""
    WORK = 1
    BASE = 2
    """What the others stand on."""


@dataclass(frozen=True)
class Group:
    """Children of one kind: `count` processes that run `main(child)`.

    `main` returns to exit with 0, and raises CouldNotBoot (any HookfarmError) where trying again at once is
    no use. `prepare`, where there is one, is forked into before the group's turn has come, so that slow
    imports overlap with the start of the groups before it; its work still begins only at its turn.
    `announced`: the group is ready when the board says so, not as soon as all its children are up.
    """

    service: str
    count: int
    main: Callable[[Child], None]
    prepare: Callable[[], None] | None = None
    announced: bool = False
    stage: Stage = Stage.WORK
    death_signal: int = signal.SIGKILL
    """What the kernel sends the child when the master dies (PR_SET_PDEATHSIG, prctl(2))."""
    most: int = 0
    """How many there may ever be while the farm runs, where that is more than `count`."""
    elastic: bool = False
    """SIGTTIN and SIGTTOU make it one more and one fewer."""
    at_once: int = 1
    """How many may be missing at a time while all are replaced."""


@dataclass(frozen=True)
class Plan:
    """What a farm runs. A later plan has the same services in the same order, whatever their number."""

    groups: Sequence[Group]
    grace_seconds: float


def board_for(groups: Sequence[Group]) -> Board:
    """With slots for as many as each group may ever want."""
    return Board({g.service: g.count for g in groups}, {g.service: g.most for g in groups})
