"""A farm for the tests of examples."""

from collections.abc import Iterator

import pytest

from tests.support.farm_processes import StartFarm, started_farms


@pytest.fixture
def start_farm() -> Iterator[StartFarm]:
    with started_farms() as start:
        yield start
