"""Stop of a delivery process."""

from typing import Any

import pytest

from hookfarm import delivery_queue
from hookfarm.delivery_queue import Depths
from hookfarm.farm.scoreboard import State
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
    enqueue(redis_url, job(endpoint, "a"), job(endpoint, "b"))
    worker.child.stop()
    worker.step()
    worker.settle()
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
    assert client.hkeys(keys.JOBS) == [b"b"]
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
        worker.join(within=5)
        gate.set()
        assert worker.slot.counter(telemetry.RETURNED) == 1
    assert delivery_queue.read_depths(client) == Depths(queued=1, open=1, parked=0, retry=0, dead=0)
    assert kept(client, "a")["attempt"] == 1
