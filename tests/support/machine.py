"""Several test processes on one machine: its lock, shared or exclusive, and the deadlines of promised times."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

SPREAD = "PYTEST_XDIST_WORKER"
"""Set where this process runs the tests beside others."""
BESIDE_OTHERS = 10


def promised(seconds: float) -> float:
    """Return the deadline of a promised time.

    It is the time itself in a run of one process (`bin/test tests/e2e/test_readiness.py`, `bin/test --chaos`).
    Beside other tests it is ten times as long, because a verdict must not depend on the speed of the machine.
    """
    return seconds * (BESIDE_OTHERS if SPREAD in os.environ else 1)


@contextlib.contextmanager
def use_of_the_machine(place: Path, alone: bool) -> Iterator[None]:
    """Hold the machine's lock: shared, or exclusive if `alone`. All processes use the same `place`.

    A process that waits for exclusive use holds the turn, so that newcomers wait behind it. A process that dies
    releases its locks.
    """
    with locked(place / "turn", fcntl.LOCK_EX):
        held = contextlib.ExitStack()
        held.enter_context(locked(place / "machine", fcntl.LOCK_EX if alone else fcntl.LOCK_SH))
    with held:
        yield


@contextlib.contextmanager
def locked(path: Path, how: int) -> Iterator[None]:
    """Hold a lock, and unlock explicitly: closing is not enough while a forked child has the file open."""
    with path.open("w") as file:
        fcntl.flock(file, how)
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)
