"""Being told to stop, for commands that run until then: signals are counted, never thrown."""

import os
import select
import signal
from types import FrameType, TracebackType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """While entered, ctrl-C, SIGTERM and a closed terminal count in `count` and end a `wait`."""

    def __init__(self) -> None:
        self.count = 0
        self._previous: dict[signal.Signals, Any] = {}
        self._woken = self._waker = -1

    def __enter__(self) -> "Interrupts":
        self._woken, self._waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._previous = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(self, *_exception: type[BaseException] | BaseException | TracebackType | None) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self.let_go()

    def let_go(self) -> None:
        """Closes what it holds open: for a child too, which must not keep it."""
        os.close(self._woken)
        os.close(self._waker)

    def wait(self, seconds: float, *files: int) -> list[int]:
        """Returns after `seconds`, or as soon as another signal has come or one of `files` can be read: these."""
        readable, _, _ = select.select([self._woken, *files], [], [], max(0.0, seconds))
        if self._woken in readable:
            os.read(self._woken, 4096)
        return [file for file in files if file in readable]

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1
        os.write(self._waker, b".")
