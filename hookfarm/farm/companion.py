"""A forked process whose parent is no master: a whole farm beside a command that watches it."""

import contextlib
import os
import signal
import time
from collections.abc import Callable

from hookfarm.farm.spawn import fork, unblock_signals
from hookfarm.farm.worker import cause_of_death

STEP_SECONDS = 0.02
KILLED_SECONDS = 5.0


class Companion:
    """Forks `run` at once, in a session of its own: ctrl-C in the terminal reaches the parent alone.

    It gets SIGTERM when the parent dies, however that comes about. `run` starts with default handlers.
    """

    def __init__(self, run: Callable[[], int]) -> None:
        def live() -> int:
            os.setsid()
            unblock_signals()
            return run()

        self._status: int | None = None
        self._pid = fork(live, death_signal=signal.SIGTERM)

    @property
    def ended(self) -> bool:
        """Whether it is gone; asking is what reaps it."""
        if self._status is None:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            self._status = status if pid else None
        return self._status is not None

    @property
    def cause_of_death(self) -> str:
        """`exit 1`, `SIGKILL`; empty while it lives."""
        return "" if self._status is None else cause_of_death(self._status)

    def tell_to_stop(self) -> None:
        """SIGTERM; a second one says that the patience is over."""
        self._signal(signal.SIGTERM)

    def stop(self, seconds: float, hurry: Callable[[], bool]) -> None:
        """Tells it to stop and returns when it is gone; kills it after `seconds`.

        `hurry` is asked while waiting: the first time it is true, it is told a second time.
        """
        self.tell_to_stop()
        deadline, hurried = time.monotonic() + seconds, False
        while not self.ended and time.monotonic() < deadline:
            time.sleep(STEP_SECONDS)  # Two signals at once would arrive as one.
            if hurry() and not hurried:
                hurried = True
                self.tell_to_stop()
        self._signal(signal.SIGKILL)
        deadline = time.monotonic() + KILLED_SECONDS
        while not self.ended and time.monotonic() < deadline:
            time.sleep(STEP_SECONDS)

    def _signal(self, number: int) -> None:
        if not self.ended:  # So its pid is still its own.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, number)
