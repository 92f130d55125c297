"""Operational events and their deliveries to the endpoints that subscribe to them."""

import json
from dataclasses import replace
from typing import Any

from hookfarm import delivery_queue
from hookfarm.delivery_queue import MAX_ORPHANED, HealthSignal, operational
from hookfarm.delivery_queue.job import ClaimedJob
from hookfarm.event_ingestor.telemetry import CHAIN_DOWN, CHAIN_ID, StalledChains
from hookfarm.farm.scoreboard import Scoreboard, State
from hookfarm.records import Endpoint, parse_subscription
from hookfarm.records.operational import EVENTS
from hookfarm.registry.store import Registry
from hookfarm.store import keys
from hookfarm.store.clients import PipelinedConnection
from tests.support.delivery import OneWorker, add_endpoint, delivered, enqueue, job
from tests.support.ledger import place
from tests.support.queue import pop, settle
from tests.support.receivers import Receiver

URL = "http://127.0.0.1:9/"


def subscriber(client: Any, *events: str, url: str = URL) -> Endpoint:
    wanted = {"id": "sub_op", "kind": "operational", "events": list(events or EVENTS)}
    return add_endpoint(client, url, subscriptions=(parse_subscription(wanted),))


def fail(
    connection: PipelinedConnection, claimed: ClaimedJob, retry: float | None, reason: str = "exhausted"
) -> None:
    job_ = claimed.with_outcome(
        {"at": 1_800_000_000.5, "duration_ms": 7, "status": 500}, **({} if retry else {"reason": reason})
    )
    settle(connection, delivery_queue.failed(claimed, job_, retry, HealthSignal.UNHEALTHY))


def open_the_circuit(redis_url: str, connection: PipelinedConnection, endpoint: Endpoint) -> None:
    for _ in range(5):
        enqueue(redis_url, job(endpoint))
        fail(connection, pop(connection), retry=60.0)


def bodies_for(client: Any, endpoint: Endpoint) -> list[dict[str, Any]]:
    """The bodies of what the endpoint is owed, once all events are delivered."""
    while operational.deliver_events(client):
        pass
    jobs = [json.loads(stored) for stored in client.hvals(keys.JOBS)]
    return [each["payload"] for each in jobs if each["endpoint"] == endpoint.id]


def test_a_dead_delivery_is_an_event_with_its_reason(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    operator, failing = subscriber(client), add_endpoint(client, URL)
    enqueue(redis_url, job(failing, "msg_a"))
    fail(connection, pop(connection), retry=None)
    [body] = bodies_for(client, operator)
    assert body["type"] == "hookfarm.delivery.dead"
    assert body["timestamp"].endswith("Z")
    assert body["data"] == {
        "endpoint": failing.id,
        "delivery": "msg_a",
        "reason": "exhausted",
        "attempts": 1,
        "last_attempt": {
            "at": "2027-01-15T08:00:00.500Z",
            "duration_ms": 7,
            "status": 500,
            "error": None,
            "detail": None,
        },
        "subscription": "sub_op",
    }


def test_a_job_that_costs_too_many_workers_is_an_event_too(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    operator, failing = subscriber(client), add_endpoint(client, URL)
    enqueue(redis_url, job(failing, "msg_a"))
    for _ in range(MAX_ORPHANED + 1):
        claimed = pop(connection)
        assert delivery_queue.requeue_orphan(client, claimed.id, claimed.sequence)
    [body] = bodies_for(client, operator)
    assert body["data"]["reason"] == "worker_lost"


def test_a_circuit_is_an_event_when_it_opens_and_when_it_closes(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    operator, failing = subscriber(client), add_endpoint(client, URL)
    open_the_circuit(redis_url, connection, failing)
    [opened] = bodies_for(client, operator)
    assert (opened["type"], opened["data"]["endpoint"]) == ("hookfarm.endpoint.circuit_opened", failing.id)
    client.delete(keys.DELIVERY_QUEUE)
    place(client, keys.RETRY, {name.decode(): 1 for name in client.zrange(keys.RETRY, 0, -1)})
    client.hset(keys.WINDOW + failing.id, mapping={"blocked_until_ms": 0})
    client.zadd(keys.WINDOW_TIMERS, {failing.id: 1})
    delivery_queue.tick(client)
    probe = pop(connection)
    assert probe.endpoint == failing.id
    fail(connection, probe, retry=60.0)
    assert len(bodies_for(client, operator)) == 1, "still open: no other occurrence"
    client.hset(keys.WINDOW + failing.id, mapping={"blocked_until_ms": 0})
    client.zadd(keys.WINDOW_TIMERS, {failing.id: 1})
    delivery_queue.tick(client)
    settle(connection, delivered(pop(connection)))
    kinds = sorted(body["type"] for body in bodies_for(client, operator))
    assert kinds == ["hookfarm.endpoint.circuit_closed", "hookfarm.endpoint.circuit_opened"]


def test_a_change_of_an_endpoint_closes_its_circuit_with_an_event(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    operator, failing = subscriber(client, "hookfarm.endpoint.circuit_closed"), add_endpoint(client, URL)
    open_the_circuit(redis_url, connection, failing)
    Registry(client).update(replace(failing, description="mended"))
    Registry(client).update(replace(failing, description="again"))
    [body] = bodies_for(client, operator)
    assert body["data"] == {"endpoint": failing.id, "subscription": "sub_op"}


def test_an_endpoint_that_is_disabled_is_one_event_with_the_reason(client: Any) -> None:
    operator, failing = subscriber(client), add_endpoint(client, URL)
    for _ in range(2):
        Registry(client).disable(failing.id, "only failures for 5 days")
    [body] = bodies_for(client, operator)
    assert body["type"] == "hookfarm.endpoint.disabled"
    assert body["data"]["reason"] == "only failures for 5 days"


def test_an_endpoint_that_is_removed_is_no_news(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    operator, failing = subscriber(client, "hookfarm.endpoint.circuit_closed"), add_endpoint(client, URL)
    open_the_circuit(redis_url, connection, failing)
    Registry(client).remove(failing.id)
    assert bodies_for(client, operator) == []


def test_a_stalled_chain_is_one_event_for_each_time(client: Any) -> None:
    operator = subscriber(client)
    scoreboard = Scoreboard({"keeper": 1, keys.EVENT_INGESTOR: 2})
    first, second = scoreboard.slots(keys.EVENT_INGESTOR)
    for slot, chain_id in ((first, 10), (second, 137)):
        slot.on_forked(1)
        slot.state = State.UP
        slot.set_counter(CHAIN_ID, chain_id)

    def look(times: int = 1) -> None:
        for _ in range(times):
            StalledChains(scoreboard.slots(keys.EVENT_INGESTOR), scoreboard.slots("keeper")[0], 2).perform(client)

    look()
    second.state, second.reason = State.STALLED, "chain 137: no node answers"
    second.set_counter(CHAIN_DOWN, 1)
    first.state, first.reason = State.STALLED, "redis: gone"
    look(times=3)  # Each time by another keeper.
    [body] = bodies_for(client, operator)
    assert body["type"] == "hookfarm.chain.stalled"
    assert body["data"] == {"chain_id": 137, "reason": "chain 137: no node answers", "subscription": "sub_op"}
    second.state = State.UP
    look()
    second.state = State.STALLED
    look(times=2)
    assert len(bodies_for(client, operator)) == 2


def test_only_what_is_subscribed_to_is_delivered_and_to_each_once(client: Any) -> None:
    operator, other = (
        subscriber(client, "hookfarm.endpoint.disabled"),
        subscriber(client, "hookfarm.delivery.dead"),
    )
    twice = Registry(client).add(
        replace(operator, id="ep_twice", subscriptions=(*operator.subscriptions, *operator.subscriptions))
    )
    failing = add_endpoint(client, URL)
    Registry(client).disable(failing.id, "by hand")
    assert [len(bodies_for(client, endpoint)) for endpoint in (operator, other, twice)] == [1, 0, 1]


def test_nothing_is_recorded_without_a_subscription(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    operator, failing = subscriber(client), add_endpoint(client, URL)
    Registry(client).disable(operator.id, "by hand")
    assert client.exists(keys.OPERATIONAL_SUBSCRIPTIONS, keys.OPERATIONAL_EVENTS) == 0
    enqueue(redis_url, job(failing, "msg_a"))
    fail(connection, pop(connection), retry=None)
    operational.record_stalled_chain(client, 1, "chain 1: gone")
    assert client.exists(keys.OPERATIONAL_EVENTS) == 0


def test_a_subscriber_causes_no_events_so_that_two_that_fail_do_not_loop(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    first, second = subscriber(client), subscriber(client)
    open_the_circuit(redis_url, connection, first)
    enqueue(redis_url, job(second, "msg_a"))
    fail(connection, pop(connection), retry=None)
    Registry(client).disable(first.id, "by hand")
    assert client.exists(keys.OPERATIONAL_EVENTS) == 0


def test_two_farms_tell_a_fact_once_under_the_same_id(client: Any) -> None:
    operator, failing = subscriber(client), add_endpoint(client, URL)
    Registry(client).disable(failing.id, "by hand")
    [event] = client.lrange(keys.OPERATIONAL_EVENTS, 0, -1)
    assert operational.deliver_events(client) == 1
    client.rpush(keys.OPERATIONAL_EVENTS, event)  # As a Redis has it that lost its last second.
    assert operational.deliver_events(client) == 1
    [job_id] = client.hkeys(keys.JOBS)
    assert job_id.decode() == operational.webhook_id(event, operator.id)


def test_more_events_than_a_batch_are_delivered_in_order(client: Any) -> None:
    operator = subscriber(client)
    for chain_id in range(operational.BATCH_SIZE + 3):
        operational.record_stalled_chain(client, chain_id, "")
    assert operational.deliver_events(client) == operational.BATCH_SIZE
    assert operational.deliver_events(client) == 3
    assert len(bodies_for(client, operator)) == operational.BATCH_SIZE + 3


def test_events_are_recorded_and_delivered_while_redis_is_full(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    operator, failing = subscriber(client), add_endpoint(client, URL)
    enqueue(redis_url, job(failing, "msg_a"))
    claimed = pop(connection)
    client.config_set("maxmemory", 1)
    fail(connection, claimed, retry=None)
    bodies = bodies_for(client, operator)
    client.config_set("maxmemory", 0)
    assert [body["type"] for body in bodies] == ["hookfarm.delivery.dead"]


def test_a_sample_has_the_form_of_what_is_subscribed_to(client: Any) -> None:
    body = json.loads(operational.example_body(subscriber(client).subscriptions[0]))
    assert body["type"] == "hookfarm.endpoint.disabled"
    assert body["data"] == {"test": True, "subscription": "sub_op"}


def test_it_arrives_signed_like_any_other(client: Any, worker: OneWorker, receiver: Receiver) -> None:
    operator, failing = subscriber(client, url=receiver.url), add_endpoint(client, URL)
    receiver.trust(operator.secrets[0][0])
    Registry(client).disable(failing.id, "by hand")
    assert operational.deliver_events(client) == 1
    worker.step()
    [received] = receiver.wait_for(1)
    assert received.signature_valid
    assert json.loads(received.body)["data"]["endpoint"] == failing.id
    worker.settle()
