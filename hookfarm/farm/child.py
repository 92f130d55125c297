"""What a child is given to live with."""

import os
import select
import signal
import time
from types import FrameType

from hookfarm.farm.scoreboard import Board, Slot, State

GRACE_RESERVE_SECONDS = 1.0
"""What a child keeps of the farm's grace to give back what it could not finish."""

EXIT_DONE = 0
EXIT_CRASHED = 1
EXIT_COULD_NOT_BOOT = 3
"""The child's word that it would fail again at once; its reason stands in its slot."""


class Child:
    """One child as it sees itself: its place in the farm, its slot, and whether it was told to stop.

    SIGTERM sets `stopping` and wakes `wait`; what the child is doing is not interrupted. A second one says that
    the patience is over.
    """

    def __init__(
        self, service: str, index: int, board: Board, grace_seconds: float = 20.0, master_pid: int | None = None
    ) -> None:
        self.service = service
        self.index = index
        self.board = board
        self.slot: Slot = board.slots(service)[index]
        self.stopping = False
        self._grace_seconds = max(0.0, grace_seconds - GRACE_RESERVE_SECONDS)
        self._patience_ends = float("inf")
        self._master_pid = os.getppid() if master_pid is None else master_pid
        self._woken, self._waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    @property
    def name(self) -> str:
        return f"{self.service} {self.index}"

    @property
    def stop_fd(self) -> int:
        """Readable once the child is told to stop, for a loop that waits on file descriptors."""
        return self._woken

    @property
    def out_of_grace(self) -> bool:
        """True once what is in flight must be let go, just before the master kills."""
        return time.monotonic() > self._patience_ends

    @property
    def orphaned(self) -> bool:
        """True once the master is dead."""
        return os.getppid() != self._master_pid

    def mark_up(self) -> None:
        """Says that it does its work and is able to."""
        self.slot.reason = ""
        self.slot.state = State.UP

    def mark_stalled(self, reason: str) -> None:
        """Says that it is alive but cannot do its work, and why."""
        self.slot.reason = reason
        self.slot.state = State.STALLED

    def wait(self, seconds: float) -> bool:
        """Waits, at most `seconds`; True once the child is told to stop."""
        if not self.stopping:
            select.select([self._woken], [], [], seconds)
        return self.stopping

    def handle_signals(self) -> None:
        """Installs the child's handlers; SIGINT is the master's affair."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def close(self) -> None:
        """Lets go of its pipe, where the process outlives the child."""
        os.close(self._woken)
        os.close(self._waker)

    def _stop(self, _signal: int, _frame: FrameType | None) -> None:
        if self.stopping:
            self._patience_ends = time.monotonic()
            return
        self.stopping = True
        self._patience_ends = time.monotonic() + self._grace_seconds
        os.write(self._waker, b".")
