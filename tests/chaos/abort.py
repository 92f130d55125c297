"""One signal for all parts of a storm: when one fails, the others end at once."""

import contextlib
import threading
from collections.abc import Iterator


class Aborted(AssertionError):
    """Raised in the other parts; the part that failed raises its own error."""


class AbortSignal:
    """Set once and for all."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        self._event.set()

    def sleep(self, seconds: float) -> None:
        """Between two beats; not at all where that is less than nothing. Raises Aborted once the signal is set."""
        if self._event.wait(max(0.0, seconds)):
            raise Aborted("another part of the storm has failed")

    @contextlib.contextmanager
    def set_on_failure(self) -> Iterator[None]:
        """Of what is in the block."""
        try:
            yield
        except BaseException:
            self.set()
            raise
