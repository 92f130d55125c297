"""The machine, which several processes share when they run the tests: all at once, or one alone."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def use_of_the_machine(place: Path, alone: bool) -> Iterator[None]:
    """Beside others, or `alone`: then nobody else uses it meanwhile. `place` is the same for all of them.

    Who wants it alone keeps the turn while it waits, so that no newcomer slips past it. A process that dies gives
    back what it held.
    """
    with locked(place / "turn", fcntl.LOCK_EX):
        held = contextlib.ExitStack()
        held.enter_context(locked(place / "machine", fcntl.LOCK_EX if alone else fcntl.LOCK_SH))
    with held:
        yield


@contextlib.contextmanager
def locked(path: Path, how: int) -> Iterator[None]:
    """Given back in so many words: closing is not enough while a forked child has the file open too."""
    with path.open("w") as file:
        fcntl.flock(file, how)
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)
