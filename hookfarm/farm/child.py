"""The child's side of a worker: its slot, its signals, and its grace period."""

import os
import select
import signal
import time
from collections.abc import Sequence
from types import FrameType

from hookfarm.farm.scoreboard import Scoreboard, Slot

GRACE_RESERVE_SECONDS = 1.0
"""Part of the farm's grace period reserved for returning unfinished work."""

EXIT_DONE = 0
EXIT_CRASHED = 1
EXIT_COULD_NOT_BOOT = 3
"""Exit status: could not boot, and an immediate retry would fail again. The reason is in the slot."""


class Child:
    """A worker as seen by its own process: service, index, slots, and whether it is to stop.

    SIGTERM sets `stopping` and wakes `wait`, without interrupting current work. A second SIGTERM ends the grace
    period.
    """

    def __init__(
        self,
        service: str,
        index: int,
        scoreboard: Scoreboard,
        grace_seconds: float = 20.0,
        master_pid: int | None = None,
        places: Sequence[int] = (),
    ) -> None:
        """`places` are the indices of the process's slots, if there are several; `index` is the first."""
        self.service = service
        self.index = index
        self.scoreboard = scoreboard
        self.places = places or (index,)
        self.slots: Sequence[Slot] = [scoreboard.slots(service)[place] for place in self.places]
        self.slot: Slot = self.slots[0]
        self.stopping = False
        self._grace_seconds = max(0.0, grace_seconds - GRACE_RESERVE_SECONDS)
        self._grace_ends_at = float("inf")
        self._master_pid = os.getppid() if master_pid is None else master_pid
        self._woken, self._waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    @property
    def name(self) -> str:
        return f"{self.service} {self.index}"

    @property
    def stop_fd(self) -> int:
        """File descriptor that becomes readable once the child is to stop, for event loops."""
        return self._woken

    @property
    def grace_expired(self) -> bool:
        """Whether work in flight must be abandoned, because the master is about to send SIGKILL."""
        return time.monotonic() > self._grace_ends_at

    @property
    def is_orphaned(self) -> bool:
        """Whether the master is dead."""
        return os.getppid() != self._master_pid

    def mark_up(self) -> None:
        """Report that the worker does its work."""
        self.slot.mark_up()

    def mark_stalled(self, reason: str) -> None:
        """Report that the worker is alive but unable to work, with the reason."""
        self.slot.mark_stalled(reason)

    def wait(self, seconds: float) -> bool:
        """Wait at most `seconds`; return True once the child is to stop."""
        if not self.stopping:
            select.select([self._woken], [], [], seconds)
        return self.stopping

    def handle_signals(self) -> None:
        """Install the child's handlers. It ignores SIGINT and SIGHUP, which the master handles."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def close(self) -> None:
        """Close the child's pipe, for a process that outlives the child."""
        os.close(self._woken)
        os.close(self._waker)

    def _stop(self, _signal: int, _frame: FrameType | None) -> None:
        if self.stopping:
            self._grace_ends_at = time.monotonic()
            return
        self.stopping = True
        self._grace_ends_at = time.monotonic() + self._grace_seconds
        os.write(self._waker, b".")
