"""What happens in hookfarm itself, told to the endpoints that subscribe to it."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from hookfarm import delivery_queue
from hookfarm.delivery_queue import MAX_ORPHANED, HealthSignal, operational
from hookfarm.delivery_queue.job import ClaimedJob
from hookfarm.event_ingestor import counters
from hookfarm.event_ingestor.stalled_chains import Stalls
from hookfarm.farm.scoreboard import Board, State
from hookfarm.records import Endpoint, parse_subscription
from hookfarm.records.operational import EVENTS
from hookfarm.registry.registry import Registry
from hookfarm.store import keys
from hookfarm.store.clients import PipelinedConnection
from tests.support.delivery import OneWorker, add_endpoint, delivered, enqueue, job
from tests.support.ledger import place
from tests.support.receivers import Receiver

URL = "http://127.0.0.1:9/"


@pytest.fixture
def connection(redis_url: str) -> Iterator[PipelinedConnection]:
    made = PipelinedConnection(redis_url, delivery_queue.BLOCK_SECONDS)
    yield made
    made.close()


def subscriber(client: Any, *events: str, url: str = URL) -> Endpoint:
    wanted = {"id": "sub_op", "kind": "operational", "events": list(events or EVENTS)}
    return add_endpoint(client, url, subscriptions=(parse_subscription(wanted),))


def pop(connection: PipelinedConnection) -> ClaimedJob:
    delivery_queue.send_pop(connection, None)
    claimed, _ = delivery_queue.read_job(connection)
    assert isinstance(claimed, ClaimedJob)
    return claimed


def settle(
    connection: PipelinedConnection, claimed: ClaimedJob, retry: float | None, reason: str = "exhausted"
) -> None:
    job_ = claimed.with_outcome({"status": 500}, **({} if retry else {"reason": reason}))
    delivery_queue.settle_sync(connection, delivery_queue.failed(claimed, job_, retry, HealthSignal.UNHEALTHY))


def open_the_circuit(redis_url: str, connection: PipelinedConnection, endpoint: Endpoint) -> None:
    for _ in range(5):
        enqueue(redis_url, job(endpoint))
        settle(connection, pop(connection), retry=60.0)


def told(client: Any, endpoint: Endpoint) -> list[dict[str, Any]]:
    """The bodies of what the endpoint is owed, once everything has been told."""
    while operational.tell(client):
        pass
    jobs = [json.loads(stored) for stored in client.hvals(keys.JOBS)]
    return [each["payload"] for each in jobs if each["endpoint"] == endpoint.id]


def test_a_dead_delivery_is_told_with_its_reason(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    operator, failing = subscriber(client), add_endpoint(client, URL)
    enqueue(redis_url, job(failing, "msg_a"))
    settle(connection, pop(connection), retry=None)
    [body] = told(client, operator)
    assert body["type"] == "hookfarm.delivery.dead"
    assert body["timestamp"].endswith("Z")
    assert body["data"] == {
        "endpoint": failing.id,
        "delivery": "msg_a",
        "reason": "exhausted",
        "attempts": 1,
        "last_attempt": {"status": 500},
        "subscription": "sub_op",
    }


def test_a_job_that_costs_too_many_workers_is_told_too(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    operator, failing = subscriber(client), add_endpoint(client, URL)
    enqueue(redis_url, job(failing, "msg_a"))
    for _ in range(MAX_ORPHANED + 1):
        claimed = pop(connection)
        assert delivery_queue.requeue_orphan(client, claimed.id, claimed.sequence)
    [body] = told(client, operator)
    assert body["data"]["reason"] == "worker_lost"


def test_a_circuit_is_told_once_when_it_opens_and_once_when_it_closes(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    operator, failing = subscriber(client), add_endpoint(client, URL)
    open_the_circuit(redis_url, connection, failing)
    [opened] = told(client, operator)
    assert (opened["type"], opened["data"]["endpoint"]) == ("hookfarm.endpoint.circuit_opened", failing.id)
    client.delete(keys.DELIVERY_QUEUE)
    place(client, keys.RETRY, {name.decode(): 1 for name in client.zrange(keys.RETRY, 0, -1)})
    client.hset(keys.WINDOW + failing.id, mapping={"wait": 0})
    client.zadd(keys.WINDOW_TIMERS, {failing.id: 1})
    delivery_queue.promote(client)
    probe = pop(connection)
    assert probe.endpoint == failing.id
    settle(connection, probe, retry=60.0)
    assert len(told(client, operator)) == 1, "still open: no other occurrence"
    client.hset(keys.WINDOW + failing.id, mapping={"wait": 0})
    client.zadd(keys.WINDOW_TIMERS, {failing.id: 1})
    delivery_queue.promote(client)
    delivery_queue.settle_sync(connection, delivered(pop(connection)))
    kinds = sorted(body["type"] for body in told(client, operator))
    assert kinds == ["hookfarm.endpoint.circuit_closed", "hookfarm.endpoint.circuit_opened"]


def test_a_changed_endpoint_whose_circuit_was_open_is_told_as_closed(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    operator, failing = subscriber(client, "hookfarm.endpoint.circuit_closed"), add_endpoint(client, URL)
    open_the_circuit(redis_url, connection, failing)
    Registry(client).update(replace(failing, description="mended"))
    Registry(client).update(replace(failing, description="again"))
    [body] = told(client, operator)
    assert body["data"] == {"endpoint": failing.id, "subscription": "sub_op"}


def test_an_endpoint_that_is_disabled_is_told_once_with_the_reason(client: Any) -> None:
    operator, failing = subscriber(client), add_endpoint(client, URL)
    for _ in range(2):
        Registry(client).disable(failing.id, "nothing but failures for 5 days")
    [body] = told(client, operator)
    assert body["type"] == "hookfarm.endpoint.disabled"
    assert body["data"]["reason"] == "nothing but failures for 5 days"


def test_an_endpoint_that_is_removed_is_no_news(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    operator, failing = subscriber(client, "hookfarm.endpoint.circuit_closed"), add_endpoint(client, URL)
    open_the_circuit(redis_url, connection, failing)
    Registry(client).remove(failing.id)
    assert told(client, operator) == []


def test_a_stalled_chain_is_told_once_for_each_time(client: Any) -> None:
    operator = subscriber(client)
    board = Board({"keeper": 1, keys.EVENT_INGESTOR: 2})
    first, second = board.slots(keys.EVENT_INGESTOR)
    for slot, chain_id in ((first, 10), (second, 137)):
        slot.occupied_by(1)
        slot.state = State.UP
        slot.set_counter(counters.CHAIN_ID, chain_id)

    def look(times: int = 1) -> None:
        for _ in range(times):
            Stalls(board.slots(keys.EVENT_INGESTOR), board.slots("keeper")[0], 2).perform(client)

    look()
    second.state, second.reason = State.STALLED, "chain 137: no node answers"
    first.state, first.reason = State.STALLED, "redis: gone"
    look(times=3)  # Each time by another keeper.
    [body] = told(client, operator)
    assert body["type"] == "hookfarm.chain.stalled"
    assert body["data"] == {"chain_id": 137, "reason": "chain 137: no node answers", "subscription": "sub_op"}
    second.state = State.UP
    look()
    second.state = State.STALLED
    look(times=2)
    assert len(told(client, operator)) == 2


def test_only_what_is_subscribed_to_is_told_and_to_each_once(client: Any) -> None:
    operator, other = (
        subscriber(client, "hookfarm.endpoint.disabled"),
        subscriber(client, "hookfarm.delivery.dead"),
    )
    twice = Registry(client).add(
        replace(operator, id="ep_twice", subscriptions=(*operator.subscriptions, *operator.subscriptions))
    )
    failing = add_endpoint(client, URL)
    Registry(client).disable(failing.id, "by hand")
    assert [len(told(client, endpoint)) for endpoint in (operator, other, twice)] == [1, 0, 1]


def test_nothing_is_noted_where_nobody_wants_to_be_told(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    operator, failing = subscriber(client), add_endpoint(client, URL)
    Registry(client).disable(operator.id, "by hand")
    assert client.exists(keys.OPERATIONAL_SUBSCRIPTIONS, keys.OPERATIONAL_EVENTS) == 0
    enqueue(redis_url, job(failing, "msg_a"))
    settle(connection, pop(connection), retry=None)
    operational.note_stalled_chain(client, 1, "chain 1: gone")
    assert client.exists(keys.OPERATIONAL_EVENTS) == 0


def test_who_is_told_is_no_subject_so_that_two_that_fail_do_not_go_on_telling_each_other(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    first, second = subscriber(client), subscriber(client)
    open_the_circuit(redis_url, connection, first)
    enqueue(redis_url, job(second, "msg_a"))
    settle(connection, pop(connection), retry=None)
    Registry(client).disable(first.id, "by hand")
    assert client.exists(keys.OPERATIONAL_EVENTS) == 0


def test_two_farms_tell_a_fact_once_under_the_same_id(client: Any) -> None:
    operator, failing = subscriber(client), add_endpoint(client, URL)
    Registry(client).disable(failing.id, "by hand")
    [fact] = client.lrange(keys.OPERATIONAL_EVENTS, 0, -1)
    assert operational.tell(client) == 1
    client.rpush(keys.OPERATIONAL_EVENTS, fact)  # As a Redis has it that lost its last second.
    assert operational.tell(client) == 1
    [job_id] = client.hkeys(keys.JOBS)
    assert job_id.decode() == operational.webhook_id(fact, operator.id)


def test_more_facts_than_are_told_at_once_are_told_in_order(client: Any) -> None:
    operator = subscriber(client)
    for chain_id in range(operational.MOST_AT_ONCE + 3):
        operational.note_stalled_chain(client, chain_id, "")
    assert operational.tell(client) == operational.MOST_AT_ONCE
    assert operational.tell(client) == 3
    assert len(told(client, operator)) == operational.MOST_AT_ONCE + 3


def test_facts_are_noted_and_told_while_redis_is_full(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    operator, failing = subscriber(client), add_endpoint(client, URL)
    enqueue(redis_url, job(failing, "msg_a"))
    claimed = pop(connection)
    client.config_set("maxmemory", 1)
    settle(connection, claimed, retry=None)
    bodies = told(client, operator)
    client.config_set("maxmemory", 0)
    assert [body["type"] for body in bodies] == ["hookfarm.delivery.dead"]


def test_a_sample_has_the_form_of_what_is_subscribed_to(client: Any) -> None:
    body = json.loads(operational.sample(subscriber(client).subscriptions[0]))
    assert body["type"] == "hookfarm.endpoint.disabled"
    assert body["data"] == {"test": True, "subscription": "sub_op"}


def test_it_arrives_signed_like_any_other(client: Any, worker: OneWorker, receiver: Receiver) -> None:
    operator, failing = subscriber(client, url=receiver.url), add_endpoint(client, URL)
    receiver.trust(operator.secrets[0][0])
    Registry(client).disable(failing.id, "by hand")
    assert operational.tell(client) == 1
    worker.step()
    [received] = receiver.wait_for(1)
    assert received.signature_valid
    assert json.loads(received.body)["data"]["endpoint"] == failing.id
    worker.settle()
