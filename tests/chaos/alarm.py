"""How all parts of a storm learn that one of them has failed, so that nobody waits for the next beat."""

import contextlib
import threading
from collections.abc import Iterator


class Abandoned(AssertionError):
    """Raised in the others: why it has failed, the one that failed says."""


class Alarm:
    """Rung once and for all."""

    def __init__(self) -> None:
        self._rung = threading.Event()

    def ring(self) -> None:
        self._rung.set()

    def rest(self, seconds: float) -> None:
        """Between two beats; not at all where that is less than nothing. Abandoned once the alarm is rung."""
        if self._rung.wait(max(0.0, seconds)):
            raise Abandoned("another part of the storm has failed")

    @contextlib.contextmanager
    def rung_by_failure(self) -> Iterator[None]:
        """Of what is in the block."""
        try:
            yield
        except BaseException:
            self.ring()
            raise
