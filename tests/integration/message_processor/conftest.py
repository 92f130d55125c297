from collections.abc import Iterator

import pytest

from tests.support.processors import Processors


@pytest.fixture
def processors(redis_url: str) -> Iterator[Processors]:
    started = Processors(redis_url)
    yield started
    started.close()
