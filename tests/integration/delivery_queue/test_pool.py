"""The pool of unproven endpoints, and windows that follow latency: a crowd does not take the whole farm."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from hookfarm import delivery_queue
from hookfarm.deliveries import endpoint_stats
from hookfarm.delivery_queue import Attempt
from hookfarm.delivery_queue.job import ClaimedJob
from hookfarm.registry.store import Registry
from hookfarm.store import keys
from hookfarm.store.clients import PipelinedConnection
from tests.support.delivery import DONE, add_endpoint, enqueue, job, prove, set_capacity
from tests.support.ledger import assert_drained, assert_ledger_invariant
from tests.support.queue import deliver, pop, settle

CAPACITY = 40
HALF = CAPACITY // 2
CROWD = [f"ep_{n:03}" for n in range(30)]


@pytest.fixture(autouse=True)
def whole_ledger(client: Any) -> Iterator[None]:
    set_capacity(client, CAPACITY)
    yield
    assert_ledger_invariant(client)


def fail(connection: PipelinedConnection, claimed: ClaimedJob) -> None:
    stored = claimed.with_outcome({}, attempt=claimed.attempt + 1)
    settle(connection, delivery_queue.failed(claimed, stored, 60.0, attempt=Attempt(1, "timeout", 10_000, {})))


def open_jobs(client: Any, *endpoints: str) -> int:
    return sum(window.open for window in endpoint_stats.read_windows(client, list(endpoints)))


def limit(client: Any, endpoint: str = "ep_1") -> int:
    return int(client.hget(keys.WINDOW + endpoint, "limit"))


def test_new_endpoints_have_half_of_the_capacity_however_many_they_are(client: Any, redis_url: str) -> None:
    enqueue(redis_url, *(job(name) for name in CROWD for _ in range(4)))
    assert open_jobs(client, *CROWD) == HALF
    assert client.zcard(keys.POOL_WAITING) == len(CROWD) - HALF // 4


def test_a_proven_endpoint_is_served_beside_a_crowd_of_new_ones(client: Any, redis_url: str) -> None:
    prove(client, "ep_proven")
    enqueue(redis_url, *(job(name) for name in CROWD for _ in range(4)))
    enqueue(redis_url, *(job("ep_proven") for _ in range(10)))
    assert open_jobs(client, "ep_proven") == 4, "as one beside others begins"


def test_those_that_wait_follow_in_their_order_when_others_succeed(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    enqueue(redis_url, *(job(name, f"{name}-{n}") for n in range(2) for name in CROWD))
    seen = []
    while client.llen(keys.DELIVERY_QUEUE):
        claimed = pop(connection)
        seen.append(claimed.endpoint)
        deliver(connection, claimed)
    assert list(dict.fromkeys(seen)) == CROWD
    assert client.smembers(keys.PROVEN) == {name.encode() for name in CROWD}
    assert_drained(client)


def test_those_that_wait_follow_when_others_fail(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    enqueue(redis_url, *(job(name) for name in CROWD))
    attempted = set()
    while client.llen(keys.DELIVERY_QUEUE):
        claimed = pop(connection)
        attempted.add(claimed.endpoint)
        fail(connection, claimed)
        assert open_jobs(client, *CROWD) <= HALF
    assert attempted == set(CROWD)
    assert client.zcard(keys.RETRY) == len(CROWD)


def test_an_endpoint_that_begins_to_fail_or_is_slow_goes_into_the_pool_and_a_quick_success_takes_it_out(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    prove(client, "ep_1")
    enqueue(redis_url, *(job("ep_1") for _ in range(20)))
    assert client.hget(keys.UNPROVEN, "*") is None
    fail(connection, pop(connection))
    assert not client.sismember(keys.PROVEN, "ep_1")
    assert int(client.hget(keys.UNPROVEN, "*")) == open_jobs(client, "ep_1")
    deliver(connection, pop(connection))
    assert client.sismember(keys.PROVEN, "ep_1")
    assert int(client.hget(keys.UNPROVEN, "*")) == 0
    settle(connection, delivery_queue.delivered(pop(connection), DONE._replace(duration_ms=5000)))
    assert not client.sismember(keys.PROVEN, "ep_1")


def test_a_removed_endpoint_is_proven_no_longer(client: Any) -> None:
    endpoint = add_endpoint(client, "http://127.0.0.1:9/")
    prove(client, endpoint.id)
    Registry(client).remove(endpoint.id)
    assert client.scard(keys.PROVEN) == 0


def test_a_window_stops_growing_once_the_latency_has_doubled(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    set_capacity(client, 1000)
    enqueue(redis_url, job("ep_other"), *(job("ep_1") for _ in range(900)))
    quick, congested = DONE._replace(duration_ms=80), DONE._replace(duration_ms=400)
    held: list[ClaimedJob] = []

    def settle_some(count: int, attempt: Attempt) -> int:
        for _ in range(count):
            claimed = pop(connection)
            if claimed.endpoint == "ep_1":
                settle(connection, delivery_queue.delivered(claimed, attempt))
            else:
                held.append(claimed)
        return limit(client)

    grown = settle_some(40, quick)
    assert grown > 4
    before = settle_some(40, congested)
    assert settle_some(60, congested) == before, "more at once would only wait at the receiver"
    assert settle_some(100, quick) > before, "it answers as quickly as it can again"


@pytest.mark.parametrize("own", [None, 30])
def test_an_endpoint_has_the_default_limit_unless_it_has_its_own(
    client: Any, redis_url: str, connection: PipelinedConnection, own: int | None
) -> None:
    client.hset(keys.ENDPOINT_LIMITS, "*", "200 12")
    endpoint = add_endpoint(client, "http://127.0.0.1:9/")
    Registry(client).edit(endpoint.id, lambda known: replace(known, max_in_flight=own))
    enqueue(redis_url, *(job(endpoint) for _ in range(100)))
    for _ in range(40):
        deliver(connection, pop(connection))
    assert open_jobs(client, endpoint.id) == (own or 12)


def test_a_pool_that_was_damaged_by_hand_is_counted_anew(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    enqueue(redis_url, *(job(name) for name in CROWD))
    client.hset(keys.UNPROVEN, mapping={"*": 10_000, CROWD[0]: "garbage", "ep_gone": 7})
    assert delivery_queue.repair_pool(client) == 3
    assert int(client.hget(keys.UNPROVEN, "*")) == HALF
    assert delivery_queue.repair_pool(client) == 0
