"""One place in the farm and what the master knows of whoever fills it."""

import os
import signal
import time
from dataclasses import dataclass

from hookfarm.farm.plan import Group
from hookfarm.farm.scoreboard import Slot, State


@dataclass
class Member:
    """A place of a group. `pid` 0 = nobody: waiting for its turn, or until `due` (monotonic) to be forked."""

    group: Group
    """Of the plan in force: what is forked here next."""
    index: int
    slot: Slot
    pid: int = 0
    gate: int = -1
    """The writing end of the pipe the child waits at; -1 = its work has begun."""
    spawned: float = 0.0
    came_up: bool = False
    quick_exits: int = 0
    due: float | None = None
    aborted: float | None = None
    """When SIGABRT was sent to it for hanging."""
    told: float | None = None
    """When it was told to leave while the farm goes on."""
    made_of: Group | None = None
    """What its last process was forked as."""

    @property
    def name(self) -> str:
        return f"{self.group.service} {self.index}"

    @property
    def up(self) -> bool:
        return self.pid != 0 and self.slot.state == State.UP

    @property
    def fresh(self) -> bool:
        """Whether its process, if it has one, is of the plan in force."""
        return self.made_of is self.group

    @property
    def quiet(self) -> bool:
        """Gone, or as good as: it has stopped taking work."""
        return self.pid == 0 or self.slot.state == State.QUIET

    def describe(self) -> str:
        """Name and trouble, as an error shows it."""
        state = self.slot.state.name.lower() if self.pid else "gone"
        return f"{self.name} ({self.slot.reason or state})"

    def note_up(self) -> None:
        """Remembers that it came up, for the respawn policy."""
        self.came_up = self.came_up or self.slot.state == State.UP

    def lived(self) -> float:
        return time.monotonic() - self.spawned


def cause_of_death(wait_status: int) -> str:
    """A wait status in words: `exit 1`, `SIGKILL`."""
    code = os.waitstatus_to_exitcode(wait_status)
    if code >= 0:
        return f"exit {code}"
    # Most real-time signals have no name.
    return signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
