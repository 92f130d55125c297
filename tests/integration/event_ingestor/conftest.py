from collections.abc import Iterator

import pytest

from hookfarm.devchain.embedded import RunningDevchain, running_devchain
from tests.support.ingestor import CHAIN, EVENTS, Published
from tests.support.redis_server import RedisServer


@pytest.fixture
def devchain() -> Iterator[RunningDevchain]:
    with running_devchain(chain_id=CHAIN, logs_per_block=EVENTS) as devchain:
        yield devchain


@pytest.fixture
def published(redis_server: RedisServer) -> Iterator[Published]:
    found = Published(redis_server)
    yield found
    found.client.close()
