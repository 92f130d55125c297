"""Real SIGKILLs to real processes: children of one master, found by their titles, one at each beat of a clock."""

import contextlib
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

NOBODY_SECONDS = 0.002
"""How long to wait before looking again for somebody to kill."""


class Killer:
    """Kills children of `master` whose title begins with `title`; `kills` counts those that lived until then."""

    def __init__(self, master: int, title: str, chance: random.Random) -> None:
        self._master = master
        self._title = title.encode()
        self._chance = chance
        self._entitled: dict[int, bool] = {}
        self.kills = 0

    def victims(self) -> list[int]:
        """The pids of those who live, as far as one look can tell."""
        return [pid for pid in self._children() if self._is_entitled(pid) and self._lives(pid)]

    def kill_one(self, number: int = signal.SIGKILL) -> int:
        """Kills one at random and returns its pid; 0 where nobody lives."""
        candidates = [pid for pid in self._children() if self._is_entitled(pid)]
        self._chance.shuffle(candidates)
        return next((pid for pid in candidates if self.kill(pid, number)), 0)

    def kill(self, pid: int, number: int = signal.SIGKILL) -> bool:
        """False where it was dead already. The pidfd makes sure that nobody else is hit under the same pid."""
        with contextlib.suppress(ProcessLookupError):
            handle = os.pidfd_open(pid)
            try:
                if self._lives(pid):
                    signal.pidfd_send_signal(handle, number)
                    self._entitled.pop(pid, None)
                    self.kills += 1
                    return True
            finally:
                os.close(handle)
        return False

    def storm(self, every_seconds: float, seconds: float) -> Iterator[int]:
        """One kill each `every_seconds` for `seconds`; yields each victim's pid after its kill.

        A beat at which nobody lives waits for the next one to be born; the beats do not pile up meanwhile.
        """
        began = time.monotonic()
        beat = began
        while beat - began < seconds:
            time.sleep(max(0.0, beat - time.monotonic()))
            while not (pid := self.kill_one()):
                if time.monotonic() - began > seconds:
                    return
                time.sleep(NOBODY_SECONDS)
            yield pid
            beat = max(beat + every_seconds, time.monotonic())

    def _children(self) -> list[int]:
        with contextlib.suppress(OSError):
            return [
                int(pid) for pid in Path(f"/proc/{self._master}/task/{self._master}/children").read_text().split()
            ]
        return []

    def _is_entitled(self, pid: int) -> bool:
        """A child has its master's title until it has its own; then it keeps that."""
        if not self._entitled.get(pid, False):
            with contextlib.suppress(OSError):
                self._entitled[pid] = Path(f"/proc/{pid}/cmdline").read_bytes().startswith(self._title)
        return self._entitled.get(pid, False)

    def _lives(self, pid: int) -> bool:
        """Not yet dead, and still the master's."""
        with contextlib.suppress(OSError):
            state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
            return state not in "ZX" and int(parent) == self._master
        return False
