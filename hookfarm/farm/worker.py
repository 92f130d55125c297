"""A process of a worker group, as the master sees it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from hookfarm.farm.plan import WorkerGroup
from hookfarm.farm.scoreboard import Slot, State


@dataclass
class WorkerProcess:
    """A process of a group with its slots, as the master sees it.

    `pid` 0 = no process: not started yet, or due at `fork_at` (monotonic).
    """

    group: WorkerGroup
    """Group in the current plan, from which the next process is forked."""
    index: int
    slots: Sequence[Slot]
    """Slots of the last process, at least one."""
    pid: int = 0
    gate: int = -1
    """Write end of the pipe at which the child waits; -1 = its work has begun."""
    spawned_at: float = 0.0
    come_up: set[Slot] = field(default_factory=set)
    """Slots of the last process that have been up."""
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
        return self.pid != 0 and all(slot.is_up for slot in self.slots)

    @property
    def is_in_trouble(self) -> bool:
        """Whether the worker is not up, and each slot that is not up is in trouble."""
        missing = [slot for slot in self.slots if not slot.is_up]
        return bool(missing) and all(slot.is_in_trouble for slot in missing)

    @property
    def has_come_up(self) -> bool:
        """Whether a slot of the last process has been up."""
        return bool(self.come_up)

    @property
    def is_current(self) -> bool:
        """Whether the last process was forked from the current plan."""
        return self.spawned_from is self.group

    @property
    def is_quiet(self) -> bool:
        """Whether the worker accepts no new work: exited, or QUIET."""
        return self.pid == 0 or all(slot.state == State.QUIET for slot in self.slots)

    @property
    def reason(self) -> str:
        """The reason of the first slot that has one."""
        return next((slot.reason for slot in self.slots if slot.reason), "")

    def describe(self) -> str:
        """Return name and reason (or state), for error messages."""
        missing = next((slot for slot in self.slots if not slot.is_up), self.slots[0])
        state = missing.state.name.lower() if self.pid else "gone"
        return f"{self.name} ({missing.reason or state})"

    def record_up(self) -> None:
        """Record the slots that have become ready, for the respawn policy."""
        self.come_up.update(slot for slot in self.slots if slot.state == State.UP)

    def age_seconds(self) -> float:
        return time.monotonic() - self.spawned_at

    # Writes to all slots

    def heartbeat(self, within_seconds: float) -> None:
        for slot in self.slots:
            slot.heartbeat(within_seconds)

    def seconds_late(self) -> float:
        return max(slot.seconds_late() for slot in self.slots)

    def on_fork(self, slots: Sequence[Slot], boot_seconds: float) -> None:
        """Prepare the slots of a new process, before the fork."""
        self.slots = slots
        self.fork_at = None
        self.come_up.clear()
        self.spawned_at = time.monotonic()
        self.spawned_from = self.group
        for slot in slots:
            slot.on_fork(boot_seconds)

    def on_forked(self, pid: int) -> None:
        self.pid = pid
        for slot in self.slots:
            slot.on_forked(pid)

    def on_exit(self) -> None:
        """Record that no process runs; the slots keep their reasons."""
        self.pid = 0
        for slot in self.slots:
            slot.on_exit()

    def count_crash(self, cause: str) -> None:
        """Count an unplanned exit in each slot; `cause` is the reason of slots without another one."""
        for slot in self.slots:
            slot.count_crash()
            slot.reason = slot.reason or cause

    def schedule_fork(self, seconds: float) -> None:
        self.fork_at = time.monotonic() + seconds
        for slot in self.slots:
            slot.schedule_fork(seconds, self.quick_exits)

    def request_stop(self) -> None:
        for slot in self.slots:
            slot.request_stop()
