from collections.abc import Iterator

import pytest

from hookfarm.http_client.connections import ConnectionPool
from hookfarm.http_client.transport import Transport
from tests.support.delivery import LOOPBACK
from tests.unit.http_client.posting import TLS


@pytest.fixture
def transport() -> Iterator[Transport]:
    made = Transport(ConnectionPool(TLS, LOOPBACK), is_cancelled=lambda: False)
    yield made
    made.close()
