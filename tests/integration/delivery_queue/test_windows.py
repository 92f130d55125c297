"""Windows: what of an endpoint's jobs may be open, and what sets the parked ones free."""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from hookfarm import delivery_queue
from hookfarm.deliveries import endpoint_stats, log, redelivery
from hookfarm.delivery_queue import HealthSignal
from hookfarm.delivery_queue.job import ClaimedJob, ForeignElement
from hookfarm.delivery_queue.settle import DISABLE_ENDPOINT
from hookfarm.records import Endpoint
from hookfarm.registry.store import Registry
from hookfarm.store import keys
from hookfarm.store.clients import PipelinedConnection
from tests.support.delivery import DONE, add_endpoint, enqueue, job, parked, set_capacity
from tests.support.ledger import assert_drained, assert_ledger_invariant
from tests.support.queue import adopt, deliver, pop, settle

URL = "http://127.0.0.1:9/"


@pytest.fixture(autouse=True)
def whole_ledger(client: Any) -> Iterator[None]:
    """Farms with a capacity of 16 unless the test changes that, so that every window begins at 4."""
    set_capacity(client, 16)
    yield
    assert_ledger_invariant(client)


def fail(
    connection: PipelinedConnection,
    claimed: ClaimedJob,
    signal: HealthSignal = HealthSignal.UNHEALTHY,
    retry: float | None = 60.0,
) -> str:
    failed = delivery_queue.failed(claimed, claimed.with_outcome({}, attempt=claimed.attempt + 1), retry, signal)
    return settle(connection, failed)


def queued(client: Any) -> int:
    return delivery_queue.read_depths(client).queued


def window(client: Any, endpoint: str = "ep_1") -> endpoint_stats.Window:
    [found] = endpoint_stats.read_windows(client, [endpoint])
    return found


def time_has_come(client: Any, endpoint: str = "ep_1") -> None:
    """Whatever the endpoint's window waits for is over."""
    if client.exists(keys.WINDOW + endpoint):
        client.hset(keys.WINDOW + endpoint, mapping={"blocked_until_ms": 0, "next_allowed_us": 0})
    client.zadd(keys.WINDOW_TIMERS, {endpoint: 1}, xx=True)


def close_the_circuit(client: Any, redis_url: str, connection: PipelinedConnection) -> None:
    enqueue(redis_url, *(job("ep_1", f"bad{n}") for n in range(12)))
    for _ in range(5):
        fail(connection, pop(connection))
    assert window(client).circuit == "open"


def test_a_window_begins_small_and_what_is_over_it_is_parked_in_order(client: Any, redis_url: str) -> None:
    enqueue(redis_url, *(job("ep_1", f"m{n}") for n in range(10)))
    assert queued(client) == 4
    assert parked(client, "ep_1") == [f"m{n}" for n in range(4, 10)]
    enqueue(redis_url, *(job("ep_2") for _ in range(3)))
    assert queued(client) == 7


def test_an_endpoint_alone_begins_with_an_eighth_of_the_capacity_and_one_beside_others_small(
    client: Any, redis_url: str
) -> None:
    set_capacity(client, 200)
    enqueue(redis_url, *(job("ep_1") for _ in range(40)))
    enqueue(redis_url, *(job("ep_2") for _ in range(40)))
    assert (window(client).open, window(client, "ep_2").open) == (25, 4)


def test_each_success_promotes_the_next_parked_and_widens_the_window_by_one(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    enqueue(redis_url, *(job("ep_1", f"m{n}") for n in range(20)))
    order = []
    for step in range(1, 4):
        order.append(pop(connection))
        deliver(connection, order[-1])
        assert (window(client).limit, window(client).open) == (4 + step, 4 + step)
    while len(order) < 20:
        order.append(pop(connection))
        deliver(connection, order[-1])
    assert [claimed.id for claimed in order] == [f"m{n}" for n in range(20)]
    assert_drained(client)


def test_an_endpoint_alone_may_use_all_of_the_capacity_and_beside_others_half_of_it(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    set_capacity(client, 30)
    enqueue(redis_url, *(job("ep_1") for _ in range(200)))
    for _ in range(60):
        deliver(connection, pop(connection))
    assert 30 <= window(client).open <= 38
    enqueue(redis_url, job("ep_2"))
    for _ in range(40):
        claimed = pop(connection)
        if claimed.endpoint == "ep_1":
            deliver(connection, claimed)
    assert window(client).open <= 15


def test_a_slow_endpoint_has_half_of_the_capacity_even_alone(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    set_capacity(client, 30)
    enqueue(redis_url, *(job("ep_1") for _ in range(100)))
    slow = DONE._replace(duration_ms=5000)
    for _ in range(60):
        settle(connection, delivery_queue.delivered(pop(connection), slow))
    assert window(client).open == 15
    for _ in range(8):
        deliver(connection, pop(connection))
    assert window(client).open > 15


def test_a_window_with_nothing_open_and_nothing_wrong_is_forgotten(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    enqueue(redis_url, *(job("ep_1") for _ in range(8)))
    for _ in range(8):
        deliver(connection, pop(connection))
    assert not client.exists(keys.WINDOW + "ep_1", keys.PARKED + "ep_1")


def test_failures_halve_the_window_and_others_leave_it(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    enqueue(redis_url, *(job("ep_1") for _ in range(20)))
    fail(connection, pop(connection))
    assert (window(client).limit, window(client).open) == (2, 3)
    fail(connection, pop(connection), HealthSignal.HEALTHY)
    assert (window(client).limit, window(client).failures) == (2, 0)
    fail(connection, pop(connection), HealthSignal.UNKNOWN)
    assert (window(client).limit, window(client).open) == (2, 2)


def test_after_five_failures_in_a_row_one_probe_at_a_time_tests_the_endpoint(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    close_the_circuit(client, redis_url, connection)
    assert queued(client) == 0
    assert len(parked(client, "ep_1")) == 7
    assert delivery_queue.tick(client) == 0
    assert queued(client) == 0, "a probe before its time"
    time_has_come(client)
    delivery_queue.tick(client)
    delivery_queue.tick(client)
    assert queued(client) == 1
    before = window(client).probe_at_ms or 0
    fail(connection, pop(connection))
    assert queued(client) == 0
    assert (window(client).probe_at_ms or 0) > max(before, time.time() * 1000)


def test_the_pause_between_probes_grows_to_a_minute(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    close_the_circuit(client, redis_url, connection)
    enqueue(redis_url, *(job("ep_1") for _ in range(5)))
    pauses = []
    for _ in range(10):
        time_has_come(client)
        delivery_queue.tick(client)
        fail(connection, pop(connection))
        pauses.append(int(client.hget(keys.WINDOW + "ep_1", "probe_pause_ms")) // 1000)
    assert pauses == [2, 4, 8, 16, 32, 60, 60, 60, 60, 60]
    assert window(client).probe_at_ms == pytest.approx((time.time() + 60) * 1000, abs=13_000)


def test_what_was_open_when_the_circuit_opened_does_not_lengthen_the_pause(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    set_capacity(client, 20)
    enqueue(redis_url, *(job("ep_1") for _ in range(60)))
    for _ in range(16):
        deliver(connection, pop(connection))
    held = [pop(connection) for _ in range(queued(client))]
    assert len(held) >= 15
    for claimed in held:
        fail(connection, claimed)
    assert client.hget(keys.WINDOW + "ep_1", "probe_pause_ms") == b"1000"


def test_the_parked_jobs_drain_when_the_endpoint_answers_again(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    close_the_circuit(client, redis_url, connection)
    time_has_come(client)
    delivery_queue.tick(client)
    for _ in range(7):
        deliver(connection, pop(connection))
    assert delivery_queue.read_depths(client) == delivery_queue.Depths(0, 0, 0, 5, 0)
    assert window(client).circuit == "closed"


def test_a_retry_that_is_due_goes_before_what_was_never_attempted(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    enqueue(redis_url, *(job("ep_1", f"m{n}") for n in range(8)))
    fail(connection, pop(connection), HealthSignal.UNKNOWN, 0.0)
    assert delivery_queue.tick(client) == 1
    assert parked(client, "ep_1") == ["m0", "m5", "m6", "m7"]


def test_an_orphan_that_dies_leaves_its_place_in_the_window(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    enqueue(redis_url, *(job("ep_1", f"m{n}") for n in range(5)))
    claimed = pop(connection)
    for _ in range(6):
        sequence = client.zscore(keys.OPEN, claimed.id)
        assert delivery_queue.requeue_orphan(client, claimed.id, int(sequence))
    assert client.zscore(keys.DEAD, claimed.id) is not None
    assert parked(client, "ep_1") == []
    assert window(client).open == 4


def test_max_in_flight_is_kept_and_a_change_of_it_holds_at_once(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    endpoint = add_endpoint(client, URL, max_in_flight=2)
    enqueue(redis_url, *(job(endpoint) for _ in range(10)))
    for _ in range(4):
        assert window(client, endpoint.id).open == 2
        deliver(connection, pop(connection))
    Registry(client).edit(endpoint.id, lambda e: replace(e, max_in_flight=4))
    delivery_queue.tick(client)
    assert window(client, endpoint.id).open == 4


def opened_by(client: Any, connection: PipelinedConnection, endpoint: Endpoint) -> int:
    """Delivers all that is open; how many that were."""
    count = 0
    while window(client, endpoint.id).open:
        deliver(connection, pop(connection))
        count += 1
    return count


def test_a_rate_limit_opens_only_what_is_due(client: Any, redis_url: str, connection: PipelinedConnection) -> None:
    endpoint = add_endpoint(client, URL, rate_limit_per_second=4)
    enqueue(redis_url, *(job(endpoint) for _ in range(20)))
    assert opened_by(client, connection, endpoint) in (3, 4), "half a second's worth, and what came due meanwhile"
    due = float(client.hget(keys.WINDOW + endpoint.id, "next_allowed_us")) / 1e6
    assert 0 < due - time.time() <= 0.25
    assert client.zscore(keys.WINDOW_TIMERS, endpoint.id) == pytest.approx(due * 1000, abs=2)
    client.hincrby(keys.WINDOW + endpoint.id, "next_allowed_us", -250_000)
    client.zadd(keys.WINDOW_TIMERS, {endpoint.id: 1})
    delivery_queue.tick(client)
    assert opened_by(client, connection, endpoint) >= 1
    assert len(parked(client, endpoint)) >= 13


def test_an_ordered_endpoint_gets_one_at_a_time_and_a_retry_before_all_others(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    endpoint = add_endpoint(client, URL, ordered=True)
    enqueue(redis_url, *(job(endpoint, f"m{n}") for n in range(4)))
    assert queued(client) == 1
    first = pop(connection)
    fail(connection, first, retry=30.0)
    assert parked(client, endpoint) == ["m0", "m1", "m2", "m3"]
    assert delivery_queue.tick(client) == 0
    assert queued(client) == 0, "the next one before its predecessor"
    assert client.zscore(keys.WINDOW_TIMERS, endpoint.id) == pytest.approx((time.time() + 30) * 1000, abs=2000)
    time_has_come(client, endpoint.id)
    delivery_queue.tick(client)
    seen = []
    for _ in range(4):
        seen.append(pop(connection))
        assert queued(client) == 0
        deliver(connection, seen[-1])
    assert [(claimed.id, claimed.attempt) for claimed in seen] == [("m0", 2), ("m1", 1), ("m2", 1), ("m3", 1)]


def test_an_ordered_endpoints_deliveries_are_sent_again_in_the_order_in_which_that_was_asked_for(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    endpoint = add_endpoint(client, URL, ordered=True)
    names = ["z", "y", "x", "w", "v"]
    enqueue(redis_url, *(job(endpoint, name) for name in names))
    for _ in names:
        deliver(connection, pop(connection))
    for name in names:
        redelivery.redeliver(client, log.find(client, name))
    fail(connection, pop(connection), retry=0.0)
    time_has_come(client, endpoint.id)
    delivery_queue.tick(client)
    seen = []
    for _ in names:
        seen.append(pop(connection))
        deliver(connection, seen[-1])
    assert [claimed.id for claimed in seen] == names
    assert [claimed.attempt for claimed in seen] == [3, 2, 2, 2, 2]


def test_an_ordered_endpoint_goes_on_behind_a_dead_letter(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    endpoint = add_endpoint(client, URL, ordered=True)
    enqueue(redis_url, job(endpoint, "a"), job(endpoint, "b"))
    fail(connection, pop(connection), retry=None)
    assert pop(connection).id == "b"


def test_a_paused_endpoint_keeps_its_jobs_and_gets_them_when_it_is_enabled(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    endpoint = add_endpoint(client, URL)
    enqueue(redis_url, job(endpoint, "a"), job(endpoint, "b"))
    held = pop(connection)
    Registry(client).disable(endpoint.id, "by hand")
    settle(connection, delivery_queue.parked(held))
    enqueue(redis_url, job(endpoint, "c"))
    delivery_queue.tick(client)
    assert parked(client, endpoint) == ["a", "c"]
    Registry(client).edit(endpoint.id, lambda e: replace(e, enabled=True))
    delivery_queue.tick(client)
    assert parked(client, endpoint) == []
    assert queued(client) == 3


def test_what_is_parked_for_a_removed_endpoint_is_set_free(client: Any, redis_url: str) -> None:
    endpoint = add_endpoint(client, URL, enabled=False)
    enqueue(redis_url, *(job(endpoint) for _ in range(6)))
    assert queued(client) == 0
    Registry(client).remove(endpoint.id)
    delivery_queue.tick(client)
    assert queued(client) == 4


def test_a_change_of_the_endpoint_opens_its_circuit(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    endpoint = add_endpoint(client, URL)
    enqueue(redis_url, *(job(endpoint) for _ in range(9)))
    for _ in range(5):
        fail(connection, pop(connection))
    assert queued(client) == 0
    Registry(client).edit(endpoint.id, lambda e: replace(e, url="http://127.0.0.1:10/"))
    delivery_queue.tick(client)
    assert queued(client) >= 1
    assert window(client, endpoint.id).circuit == "closed"


def test_open_circuits_and_disabled_endpoints_are_known_without_looking_at_all_endpoints(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    endpoint, other = add_endpoint(client, URL), add_endpoint(client, URL)
    enqueue(redis_url, *(job(endpoint) for _ in range(6)))
    for _ in range(5):
        assert client.zcard(keys.OPEN_CIRCUITS) == 0
        fail(connection, pop(connection))
    [(open_, since_ms)] = client.zrange(keys.OPEN_CIRCUITS, 0, -1, withscores=True)
    assert (open_.decode(), since_ms) == (endpoint.id, pytest.approx(time.time() * 1000, abs=30_000))
    time_has_come(client, endpoint.id)
    delivery_queue.tick(client)
    deliver(connection, pop(connection))
    assert client.zcard(keys.OPEN_CIRCUITS) == 0
    Registry(client).disable(other.id, "by hand")
    assert client.smembers(keys.DISABLED_ENDPOINTS) == {other.id.encode()}
    Registry(client).remove(other.id)
    assert client.scard(keys.DISABLED_ENDPOINTS) == 0


def test_a_removed_endpoints_last_failures_are_no_circuit(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    endpoint = add_endpoint(client, URL)
    set_capacity(client, 40)
    enqueue(redis_url, *(job(endpoint) for _ in range(10)))
    held = [pop(connection) for _ in range(queued(client))]
    assert len(held) >= 5
    Registry(client).remove(endpoint.id)
    for claimed in held:
        fail(connection, claimed)
    assert client.zcard(keys.OPEN_CIRCUITS) == 0


def test_a_foreign_element_is_parked_where_the_window_is_full(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    enqueue(redis_url, *(job("ep_1", f"m{n}") for n in range(4)))
    foreign = ForeignElement(b'{"endpoint":"ep_1","payload":{},"id":"foreign"}')
    assert adopt(connection, foreign) is None
    assert adopt(connection, foreign, again=True) is None
    assert parked(client, "ep_1") == ["foreign"]
    assert delivery_queue.read_depths(client).dead == 0
    for _ in range(4):
        deliver(connection, pop(connection))
    assert pop(connection).id == "foreign"


def test_an_endpoint_that_has_only_failed_for_too_long_is_given_up(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    enqueue(redis_url, *(job("ep_1") for _ in range(4)))
    claimed = pop(connection)
    long_ago = int((time.time() - 7200) * 1000)

    def failed_again(claimed: ClaimedJob, disable_after_seconds: float) -> str:
        settlement = delivery_queue.failed(
            claimed,
            claimed.with_outcome({}),
            60.0,
            HealthSignal.HEALTHY,
            DONE,
        )
        return settle(connection, settlement, disable_after_seconds=disable_after_seconds)

    assert failed_again(claimed, 3600.0) == "settled"
    client.hset(keys.WINDOW + "ep_1", "failing_since_ms", long_ago)
    assert failed_again(pop(connection), 8000.0) == "settled"
    assert failed_again(pop(connection), 3600.0) == DISABLE_ENDPOINT
    deliver(connection, pop(connection))
    assert window(client).failing_since_ms is None
