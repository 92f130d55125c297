"""Farms for the tests, and a look behind each test for what it left."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.farm.toys import StartToys, started_toys
from tests.support.farm_processes import StartFarm, started_farms
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
    """No process and no file descriptor of ours outlives a test."""
    processes, files = _descendants(), len(_open_files())
    yield
    eventually(lambda: not _descendants() - processes, what="the end of the processes a test started")
    assert len(_open_files()) <= files, "a test has left files open"


@pytest.fixture
def start_toys(tmp_path: Path) -> Iterator[StartToys]:
    with started_toys(tmp_path) as start:
        yield start


@pytest.fixture
def start_farm() -> Iterator[StartFarm]:
    with started_farms() as start:
        yield start
