"""What the tests of the delivery hop share."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.delivery import OneWorker, one_worker
from tests.support.ledger import assert_ledger_invariant
from tests.support.receivers import Receiver, running_receiver
from tests.support.redis_server import RedisServer


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[Any]:
    """A client of the test's own server; the ledger on it must be in order at the end."""
    with redis_server.client() as connected:
        yield connected
        assert_ledger_invariant(connected)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running_receiver() as running:
        yield running


@pytest.fixture
def worker(redis_url: str) -> Iterator[OneWorker]:
    with one_worker(redis_url) as made:
        yield made
