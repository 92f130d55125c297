"""A check after each test for leftover processes and files."""

import contextlib
import os
from collections.abc import Iterator

import psutil
import pytest

from tests.support.waiting import eventually


def _descendants() -> set[int]:
    found = set()
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                found.add(process.pid)
    return found


def _open_files() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Assert that no process or file descriptor outlives the test."""
    processes, files = _descendants(), len(_open_files())
    yield
    eventually(lambda: not _descendants() - processes, what="the end of the processes a test started")
    assert len(_open_files()) <= files, "the test has left files open"
