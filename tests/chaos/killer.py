"""Real signals to real processes: children of one master, found by their titles, one at each beat of a clock."""

import contextlib
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from tests.chaos.abort import AbortSignal

POLL_SECONDS = 0.002
"""Between two looks for a process to kill."""
GONE = "X"
DEAD = ("Z", GONE)


class Killer:
    """Kills children of `master` whose title begins with `title`; `kills` counts those that lived until then.

    With `sockets` only those that have at least so many open, which spares a booting process. A storm ends with an
    AssertionError as soon as `abort` is set, or the master is dead.
    """

    def __init__(
        self, master: int, title: str, chance: random.Random, sockets: int = 0, abort: AbortSignal | None = None
    ) -> None:
        self._master = master
        self._title = title.encode()
        self._chance = chance
        self._sockets = sockets
        self._abort = abort or AbortSignal()
        self._entitled: dict[int, bool] = {}
        self._killed: set[int] = set()
        """A killed process may be listed for a while, alive."""
        self._suspended: set[int] = set()
        self.kills = 0

    def victims(self) -> list[int]:
        """The pids of those who live, as far as one look can tell."""
        return [pid for pid in self._candidates() if self._lives(pid)]

    def kill_one(self, number: int = signal.SIGKILL) -> int:
        """Ends one at random, by SIGKILL or more gently, and returns its pid; 0 if none is alive."""
        candidates = self._candidates()
        self._chance.shuffle(candidates)
        return next((pid for pid in candidates if self.kill(pid, number)), 0)

    def kill(self, pid: int, number: int = signal.SIGKILL) -> bool:
        """False where it was dead already."""
        hit = self._signal(pid, number)
        if hit:
            self._killed.add(pid)
            self.kills += 1
        return hit

    def suspend_one(self) -> None:
        """SIGSTOP, until `resume`, for one at random; a master loses its patience with it after some seconds."""
        candidates = self._candidates()
        self._chance.shuffle(candidates)
        for pid in candidates:
            if self._signal(pid, signal.SIGSTOP):
                self._suspended.add(pid)
                return

    def resume(self) -> None:
        """All that were suspended."""
        while self._suspended:
            self._signal(self._suspended.pop(), signal.SIGCONT)

    def _signal(self, pid: int, number: int) -> bool:
        """False where it was dead already. The pidfd ensures that no other process with this pid is hit."""
        with contextlib.suppress(ProcessLookupError):
            handle = os.pidfd_open(pid)
            try:
                if self._lives(pid):
                    signal.pidfd_send_signal(handle, number)
                    return True
            finally:
                os.close(handle)
        return False

    def storm(self, every_seconds: float, seconds: float, spared: int = 0) -> Iterator[int]:
        """One kill each `every_seconds` for `seconds`; yields each victim's pid after its kill.

        A beat at which no more than `spared` live waits until more do; the beats do not pile up meanwhile. So a
        machine that cannot fork as fast as this kills is not left without workers.
        """
        began = time.monotonic()
        beat = began
        while beat - began < seconds:
            self._abort.sleep(beat - time.monotonic())
            while (spared and len(self.victims()) <= spared) or not (pid := self.kill_one()):
                if time.monotonic() - began > seconds:
                    assert self.kills, f"there was never a process to kill: {self._title.decode()}"
                    return
                assert _status(self._master)[0] not in DEAD, f"their master is dead: {self._title.decode()}"
                self._abort.sleep(POLL_SECONDS)
            yield pid
            beat = max(beat + every_seconds, time.monotonic())

    def _candidates(self) -> list[int]:
        found = [pid for pid in self._children() if pid not in self._killed and self._is_entitled(pid)]
        return [pid for pid in found if _sockets(pid) >= self._sockets] if self._sockets else found

    def _children(self) -> list[int]:
        place = Path(f"/proc/{self._master}/task/{self._master}/children")
        with contextlib.suppress(OSError):
            return [int(pid) for pid in place.read_text().split()]
        return []

    def _is_entitled(self, pid: int) -> bool:
        """A child has its master's title until it has its own; then it keeps that."""
        if not self._entitled.get(pid, False):
            with contextlib.suppress(OSError):
                self._entitled[pid] = Path(f"/proc/{pid}/cmdline").read_bytes().startswith(self._title)
        return self._entitled.get(pid, False)

    def _lives(self, pid: int) -> bool:
        """Not yet dead, and still the master's."""
        state, parent = _status(pid)
        return state not in DEAD and parent == self._master


def _status(pid: int) -> tuple[str, int]:
    """Its state and its parent (proc_pid_stat(5))."""
    with contextlib.suppress(OSError):
        state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
        return state, int(parent)
    return GONE, 0


def _sockets(pid: int) -> int:
    """How many the process has open."""
    count = 0
    with contextlib.suppress(OSError):
        for file in os.scandir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                count += os.readlink(file.path).startswith("socket:")
    return count
