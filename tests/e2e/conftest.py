"""A farm, a receiver and endpoints for the tests of the whole pipeline."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.farm_processes import StartFarm, started_farms
from tests.support.pipeline import Pipeline
from tests.support.receivers import running_receiver


@pytest.fixture
def start_farm(tmp_path: Path) -> Iterator[StartFarm]:
    with started_farms() as start:
        yield start


@pytest.fixture
def pipeline(start_farm: StartFarm, redis_url: str) -> Iterator[Pipeline]:
    with running_receiver() as receiver:
        yield Pipeline(start_farm, redis_url, receiver)
