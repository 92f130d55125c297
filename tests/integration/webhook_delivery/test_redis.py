"""A delivery process and its connection to Redis: what it writes, what it survives."""

import os
import signal
import threading
from typing import Any

import orjson
import pytest
import redis

from hookfarm import delivery_queue
from hookfarm.delivery_queue import Depths, settle, take
from hookfarm.farm.scoreboard import State
from hookfarm.store import keys
from hookfarm.webhook_delivery import telemetry
from tests.support.delivery import (
    POLLING_COUNTER,
    OneWorker,
    add_endpoint,
    dead_letters,
    enqueue,
    job,
    one_worker,
)
from tests.support.ledger import assert_drained
from tests.support.queue import enqueue_held_post
from tests.support.receivers import Receiver
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

INCR = b"$4\r\nINCR\r\n"
"""The command, and no script that has the word in it."""


def cut(worker: OneWorker) -> None:
    """Closes the worker's connection from the server's side."""
    worker.client.client_kill_filter(_id=str(worker.slot.counter(telemetry.CLIENT_ID)))


def test_a_job_costs_one_write(client: Any, redis_url: str, receiver: Receiver, worker: OneWorker) -> None:
    endpoint = add_endpoint(client, receiver.url)
    enqueue(redis_url, *(job(endpoint) for _ in range(6)))
    worker.step()
    before = len(worker.connection.writes)
    worker.step(5)
    writes = worker.connection.writes[before:]
    assert len(writes) == 5
    for write in writes:
        commands = [part for part in (b"EVALSHA", INCR, b"BRPOP", b"GET") if part in write]
        assert commands == [b"EVALSHA", b"BRPOP", b"GET"]
        assert write.index(b"EVALSHA") < write.index(b"BRPOP") < write.index(b"GET")


def test_the_first_pop_reports_in_the_same_write_and_no_later_one_does(
    client: Any, redis_url: str, receiver: Receiver, worker: OneWorker
) -> None:
    endpoint = add_endpoint(client, receiver.url)
    enqueue(redis_url, job(endpoint), job(endpoint))
    assert not worker.up
    worker.step()
    [reporting] = [write for write in worker.connection.writes if INCR in write]
    assert reporting.index(INCR) < reporting.index(b"BRPOP")
    assert POLLING_COUNTER.encode() in reporting
    assert worker.up
    worker.step()
    cut(worker)
    with pytest.raises(redis.RedisError):
        worker.step()
    worker.start()
    enqueue(redis_url, job(endpoint))
    receiver.wait_for(3)
    worker.stop()
    assert client.get(POLLING_COUNTER) == b"1"


def test_the_outcome_goes_out_with_the_next_pop(
    client: Any, redis_url: str, receiver: Receiver, worker: OneWorker
) -> None:
    endpoint = add_endpoint(client, receiver.url)
    enqueue(redis_url, job(endpoint, "a"), job(endpoint, "b"))
    worker.step()
    assert client.hexists(keys.JOBS, "a")
    worker.step()
    assert not client.hexists(keys.JOBS, "a")
    assert client.hexists(keys.JOBS, "b")


def test_a_worker_shows_what_it_holds_until_it_is_settled(
    client: Any, redis_url: str, receiver: Receiver, worker: OneWorker
) -> None:
    endpoint = add_endpoint(client, receiver.url)
    gate = enqueue_held_post(redis_url, receiver, endpoint, "a")
    sequence = int(client.zscore(keys.OPEN, "a"))
    worker.start()
    receiver.wait_for(1)
    assert worker.slot.activity == telemetry.POSTING
    assert worker.slot.counter(telemetry.HELD_SEQUENCE) == sequence
    gate.set()
    eventually(lambda: worker.slot.activity == telemetry.POLLING, what="the next pop")
    eventually(lambda: not worker.slot.counter(telemetry.HELD_SEQUENCE), what="the settlement")
    assert not client.exists(keys.JOBS)
    clients = {c["id"]: c for c in client.client_list()}
    assert clients[str(worker.slot.counter(telemetry.CLIENT_ID))]["cmd"] == "brpop"


def test_after_a_cut_connection_the_outcome_is_settled_first_and_nothing_sent_twice(
    client: Any, redis_url: str, receiver: Receiver, worker: OneWorker
) -> None:
    endpoint = add_endpoint(client, receiver.url)
    gate = enqueue_held_post(redis_url, receiver, endpoint, "a")
    worker.start()
    receiver.wait_for(1)
    before = len(worker.connection.writes)
    cut(worker)
    enqueue(redis_url, job(endpoint, "b"))
    gate.set()
    receiver.wait_for(2)
    worker.stop()
    assert [r.id for r in receiver.received] == ["a", "b"]
    assert_drained(client)
    settles = [settle._SETTLE_DELIVERED.sha in write for write in worker.connection.writes[before:]]
    pops = [b"BRPOP" in write for write in worker.connection.writes[before:]]
    assert settles[0], "the outcome goes with the write that finds the connection cut"
    assert settles.index(True, 1) < pops.index(True, 1), "and first of all on the next connection"


def test_a_forgotten_script_costs_a_second_step_and_no_job(
    client: Any, redis_url: str, receiver: Receiver, worker: OneWorker
) -> None:
    endpoint = add_endpoint(client, receiver.url)
    enqueue(redis_url, *(job(endpoint) for _ in range(3)))
    for _ in range(3):
        worker.step()
        client.script_flush()
    worker.settle()
    assert len(receiver.received) == 3
    assert_drained(client)


def test_a_job_that_arrives_too_late_is_given_back_instead_of_posted(
    client: Any, redis_server: RedisServer, redis_url: str, receiver: Receiver
) -> None:
    """The server stands still for longer than the fence; the job it answers with may be another's by then."""
    endpoint = add_endpoint(client, receiver.url)
    assert redis_server.process is not None
    with one_worker(redis_url, block_seconds=5) as worker:
        enqueue(redis_url, job(endpoint, "first"), job(endpoint, "late"))
        worker.step()
        pid = redis_server.process.pid
        asleep = threading.Timer(delivery_queue.FENCE_SECONDS + 0.2, os.kill, (pid, signal.SIGCONT))
        os.kill(pid, signal.SIGSTOP)
        asleep.start()
        worker.step()
        asleep.join()
        assert worker.slot.counter(telemetry.RETURNED) == 1
        assert [r.id for r in receiver.received] == ["first"]
        worker.step()
        worker.settle()
        assert [(r.id, r.attempt) for r in receiver.received] == [("first", 1), ("late", 1)]
    assert_drained(client)


def test_an_endpoint_is_looked_up_again_only_after_a_change(
    client: Any, redis_url: str, receiver: Receiver, worker: OneWorker
) -> None:
    endpoint = add_endpoint(client, receiver.url)
    enqueue(redis_url, *(job(endpoint) for _ in range(6)))
    worker.step(3)
    assert sum(b"$4\r\nHGET\r\n" in write for write in worker.connection.writes) == 1
    add_endpoint(client, receiver.url)
    worker.step(3)
    assert sum(b"$4\r\nHGET\r\n" in write for write in worker.connection.writes) == 2


class CutWhileAdopting:
    """Cuts the connection, once, around the write that adopts a foreign element."""

    def __init__(self, worker: OneWorker) -> None:
        self._worker = worker
        self.happened = False
        worker.client.script_load(take._ADOPT.source)

    def _now(self, packed: bytes) -> bool:
        first = take._ADOPT.sha in packed and not self.happened
        self.happened = self.happened or first
        return first

    def before_write(self, packed: bytes) -> None:
        """Before the server has read it."""
        if self._now(packed):
            cut(self._worker)

    def before_reply(self, packed: bytes) -> None:
        """After the server has done it, its reply lost."""
        if self._now(packed):
            eventually(lambda: self._worker.client.exists(keys.JOBS), what="the script having run")
            self._worker.connection.close()
            raise redis.ConnectionError("the reply is lost")


@pytest.mark.parametrize("cut_at", ["before the write", "before the reply"])
def test_what_anyone_pushed_survives_a_connection_cut_while_it_is_taken_up(
    client: Any, receiver: Receiver, worker: OneWorker, cut_at: str
) -> None:
    endpoint = add_endpoint(client, receiver.url)
    cutting = CutWhileAdopting(worker)
    if cut_at == "before the write":
        worker.connection.before_write = cutting.before_write
    else:
        worker.connection.after_write = cutting.before_reply
    client.lpush(keys.DELIVERY_QUEUE, orjson.dumps({"endpoint": endpoint.id, "payload": {"n": 1}}))
    worker.start()
    receiver.wait_for(1)
    worker.stop()
    assert cutting.happened
    assert [r.body for r in receiver.received] == [b'{"n":1}']
    assert dead_letters(client) == {}
    assert_drained(client)


def test_what_anyone_pushed_is_not_lost_by_a_worker_that_stops_just_then(
    client: Any, receiver: Receiver, worker: OneWorker
) -> None:
    endpoint = add_endpoint(client, receiver.url)
    client.lpush(keys.DELIVERY_QUEUE, orjson.dumps({"endpoint": endpoint.id, "payload": {}, "id": "a"}))
    worker.connection.before_write = CutWhileAdopting(worker).before_write
    with pytest.raises(redis.RedisError):
        worker.step()
    worker.settle()
    assert delivery_queue.read_depths(client) == Depths(queued=1, open=1, parked=0, retry=0, dead=0)


def test_a_redis_that_is_killed_and_comes_back_costs_nothing(
    client: Any, redis_server: RedisServer, redis_url: str, receiver: Receiver, worker: OneWorker
) -> None:
    endpoint = add_endpoint(client, receiver.url)
    gate = enqueue_held_post(redis_url, receiver, endpoint, "a", "b")
    worker.start()
    receiver.wait_for(1)
    redis_server.kill(synced=True)
    gate.set()
    eventually(lambda: worker.slot.state == State.STALLED, what="the worker noticing")
    assert "Redis" in worker.slot.reason
    redis_server.start()
    receiver.wait_for(2)
    eventually(lambda: worker.slot.state == State.UP, what="the worker being up again")
    worker.stop()
    assert [r.id for r in receiver.received] == ["a", "b"]
    assert_drained(client)


def test_a_flushed_redis_is_gone_on_with(
    client: Any, redis_url: str, receiver: Receiver, worker: OneWorker
) -> None:
    worker.start()
    eventually(lambda: worker.slot.state == State.UP, what="the worker polling")
    client.flushall()
    client.script_flush()
    endpoint = add_endpoint(client, receiver.url)
    enqueue(redis_url, job(endpoint))
    receiver.wait_for(1)
    worker.stop()
    assert_drained(client)


def test_a_list_of_the_wrong_type_stalls_the_worker_until_it_is_gone(
    client: Any, redis_url: str, receiver: Receiver, worker: OneWorker
) -> None:
    endpoint = add_endpoint(client, receiver.url)
    client.set(keys.DELIVERY_QUEUE, "x")
    worker.start()
    eventually(lambda: worker.slot.state == State.STALLED, what="the worker stalling")
    assert worker.slot.reason == "Redis: delivery_queue is a string; it must be a list"
    client.delete(keys.DELIVERY_QUEUE)
    enqueue(redis_url, job(endpoint))
    receiver.wait_for(1)
    worker.stop()
    assert_drained(client)
