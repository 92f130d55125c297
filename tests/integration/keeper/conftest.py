from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.kept_farm import KeptFarm


@pytest.fixture
def farm(redis_url: str, tmp_path: Path) -> Iterator[KeptFarm]:
    made = KeptFarm(redis_url, tmp_path / "log")
    yield made
    made.kill()
