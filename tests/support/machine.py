"""Locks for several test processes on one machine: shared, or exclusive."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path


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
