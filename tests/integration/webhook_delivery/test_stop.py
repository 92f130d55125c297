"""Stop of a delivery process."""

from collections.abc import Callable
from typing import Any

import pytest

from hookfarm import delivery_queue
from hookfarm.delivery_queue import Depths
from hookfarm.farm.scoreboard import State
from hookfarm.records import Endpoint
from hookfarm.store import keys
from hookfarm.webhook_delivery import telemetry
from tests.support.delivery import (
    OneWorker,
    add_endpoint,
    enqueue,
    job,
    kept,
    one_worker,
)
from tests.support.queue import enqueue_held_post
from tests.support.receivers import Receiver
from tests.support.waiting import eventually


def in_hand(client: Any) -> int:
    depths = delivery_queue.read_depths(client)
    return depths.open - depths.queued


def test_what_is_popped_after_the_word_to_stop_is_given_back(
    client: Any, redis_url: str, receiver: Receiver, worker: OneWorker
) -> None:
    endpoint = add_endpoint(client, receiver.url)
    worker.start()
    eventually(lambda: worker.slot.state == State.UP, what="the worker polling")
    worker.child.stop()
    enqueue(redis_url, job(endpoint, "a"), job(endpoint, "b"))
    worker.join()
    assert receiver.received == []
    assert delivery_queue.read_depths(client) == Depths(queued=2, open=2, parked=0, retry=0, dead=0)
    assert kept(client, "a")["attempt"] == 1


def test_an_idle_worker_that_is_woken_goes_without_having_popped(
    client: Any, redis_url: str, worker: OneWorker
) -> None:
    worker.start()
    eventually(lambda: worker.slot.state == State.UP, what="the worker polling")
    worker.stop()
    assert worker.slot.state == State.QUIET
    enqueue(redis_url, job("ep_1"))
    assert delivery_queue.read_depths(client).queued == 1


def test_a_post_in_flight_is_finished_and_settled_before_the_worker_goes(
    client: Any, redis_url: str, receiver: Receiver, worker: OneWorker
) -> None:
    endpoint = add_endpoint(client, receiver.url)
    gate = enqueue_held_post(redis_url, receiver, endpoint, "a", "b")
    worker.start()
    receiver.wait_for(1)
    worker.child.stop()
    gate.set()
    worker.join()
    assert [r.id for r in receiver.received] == ["a"]
    assert client.hkeys(keys.DELIVERED) == [b"a"]
    assert delivery_queue.read_depths(client).undelivered == 1
    assert in_hand(client) == 0


@pytest.mark.parametrize("patience", ["second word", "grace over"])
def test_a_post_that_outlasts_the_patience_is_given_back(
    client: Any, redis_url: str, receiver: Receiver, patience: str
) -> None:
    endpoint = add_endpoint(client, receiver.url)
    gate = enqueue_held_post(redis_url, receiver, endpoint, "a")
    with one_worker(redis_url, grace_seconds=1.1 if patience == "grace over" else 20) as worker:
        worker.start()
        receiver.wait_for(1)
        worker.child.stop()
        if patience == "second word":
            worker.child.stop()
        worker.join()
        gate.set()
        assert worker.slot.counter(telemetry.RETURNED) == 1
    assert delivery_queue.read_depths(client) == Depths(queued=1, open=1, parked=0, retry=0, dead=0)
    assert kept(client, "a")["attempt"] == 1


def damage_window(client: Any, endpoint: Endpoint) -> Callable[[], None]:
    """Give the key of the endpoint's window another type; return what gives it back."""
    key = keys.WINDOW + endpoint.id
    window = client.hgetall(key)
    client.set(key, "damaged")

    def repair() -> None:
        client.delete(key)
        client.hset(key, mapping=window)

    return repair


def test_a_job_that_cannot_be_settled_does_not_hold_up_the_stop_beyond_the_grace(
    client: Any, redis_url: str, receiver: Receiver
) -> None:
    endpoint = add_endpoint(client, receiver.url)
    with one_worker(redis_url, grace_seconds=2.0) as worker:
        gate = enqueue_held_post(redis_url, receiver, endpoint, "a")
        worker.start()
        receiver.wait_for(1)
        repair = damage_window(client, endpoint)
        gate.set()
        worker.child.stop()
        worker.join()
    repair()
    assert delivery_queue.read_depths(client) == Depths(queued=0, open=1, parked=0, retry=0, dead=0)


def test_a_job_whose_endpoint_is_damaged_is_settled_once_that_is_repaired(
    client: Any, redis_url: str, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint, other = add_endpoint(client, receiver.url), add_endpoint(client, receiver.url)
    with one_worker(redis_url, concurrency=4) as worker:
        gate = enqueue_held_post(redis_url, receiver, endpoint, "a")
        worker.start()
        receiver.wait_for(1)
        repair = damage_window(client, endpoint)
        gate.set()
        enqueue(redis_url, job(other, "b"))
        eventually(lambda: client.hkeys(keys.DELIVERED) == [b"b"], what="the other endpoint's settlement")
        eventually(lambda: "not settled" in caplog.text, what="the log line")
        repair()
        eventually(lambda: len(client.hkeys(keys.DELIVERED)) == 2, what="the settlement")
        worker.stop()
    assert caplog.text.count("not settled") == 1
    assert len(receiver.received) == 2
