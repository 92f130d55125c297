from collections.abc import Iterator

import pytest

from tests.support.api_process import Api, running_api


@pytest.fixture
def api(redis_url: str) -> Iterator[Api]:
    """A running API."""
    with running_api(redis_url) as running:
        yield running
