"""What the master is asked to run."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from hookfarm.farm.child import Child


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
    death_signal: int = 9
    """What the kernel sends the child when the master dies (PR_SET_PDEATHSIG, prctl(2))."""
