"""The process in a slot of a worker group, as the master sees it."""

import time
from dataclasses import dataclass

from hookfarm.farm.plan import WorkerGroup
from hookfarm.farm.scoreboard import Slot, State


@dataclass
class WorkerProcess:
    """The process in a group's slot, as the master sees it.

    `pid` 0 = no process: not started yet, or due at `fork_at` (monotonic).
    """

    group: WorkerGroup
    """Group in the current plan, from which the next process is forked."""
    index: int
    slot: Slot
    pid: int = 0
    gate: int = -1
    """Write end of the pipe at which the child waits; -1 = its work has begun."""
    spawned_at: float = 0.0
    has_come_up: bool = False
    quick_exits: int = 0
    fork_at: float | None = None
    aborted_at: float | None = None
    """Time of SIGABRT (it hangs) or of SIGKILL (its grace period is over)."""
    retired_at: float | None = None
    """Time of SIGTERM to this worker alone."""
    spawned_from: WorkerGroup | None = None
    """Group from which the last process was forked."""

    @property
    def name(self) -> str:
        return f"{self.group.service} {self.index}"

    @property
    def is_up(self) -> bool:
        return self.pid != 0 and self.slot.state == State.UP

    @property
    def is_in_trouble(self) -> bool:
        """Whether the process is stalled, or one of its slot has exited unasked, and none is up."""
        return not self.is_up and (self.slot.state == State.STALLED or self.slot.crashes > 0)

    @property
    def is_current(self) -> bool:
        """Whether the last process was forked from the current plan."""
        return self.spawned_from is self.group

    @property
    def is_quiet(self) -> bool:
        """Whether the worker accepts no new work: exited, or QUIET."""
        return self.pid == 0 or self.slot.state == State.QUIET

    def describe(self) -> str:
        """Return name and reason (or state), for error messages."""
        state = self.slot.state.name.lower() if self.pid else "gone"
        return f"{self.name} ({self.slot.reason or state})"

    def record_up(self) -> None:
        """Record that the process has become ready, for the respawn policy."""
        self.has_come_up = self.has_come_up or self.slot.state == State.UP

    def age_seconds(self) -> float:
        return time.monotonic() - self.spawned_at
