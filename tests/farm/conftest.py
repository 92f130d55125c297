"""Farms for the tests, and a look behind each test for what it left."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.farm.toys import StartToys, started_toys
from tests.support.farm_processes import StartFarm, started_farms
from tests.support.leftovers import nothing_left_behind as nothing_left_behind


@pytest.fixture
def start_toys(tmp_path: Path) -> Iterator[StartToys]:
    with started_toys(tmp_path) as start:
        yield start


@pytest.fixture
def start_farm() -> Iterator[StartFarm]:
    with started_farms() as start:
        yield start
