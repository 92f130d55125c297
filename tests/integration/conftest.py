"""Fixtures for tests on a real server: a checked client, a connection, a receiver and a worker."""

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from hookfarm import delivery_queue
from hookfarm.store.clients import PipelinedConnection
from tests.support.delivery import OneWorker, one_worker
from tests.support.ledger import assert_ledger_invariant
from tests.support.receivers import Receiver, running_receiver


@pytest.fixture
def client(client: redis.Redis) -> Iterator[Any]:
    """A client of the test's own server; the ledger on it must be in order at the end."""
    yield client
    assert_ledger_invariant(client)


@pytest.fixture
def connection(redis_url: str) -> Iterator[PipelinedConnection]:
    """The connection of a delivery process."""
    opened = PipelinedConnection(redis_url, delivery_queue.BLOCK_SECONDS)
    yield opened
    opened.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running_receiver() as running:
        yield running


@pytest.fixture
def worker(redis_url: str) -> Iterator[OneWorker]:
    with one_worker(redis_url) as made:
        yield made
