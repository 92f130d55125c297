"""A delivery process and its connections to Redis: what it writes, what it survives."""

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import orjson
import pytest
import redis

from hookfarm import delivery_queue
from hookfarm.delivery_queue import Depths, take
from hookfarm.delivery_queue.settle import SETTLE
from hookfarm.farm.scoreboard import State
from hookfarm.store import keys
from hookfarm.store.loop_connection import LoopConnection
from hookfarm.webhook_delivery import telemetry
from tests.support.delivery import (
    POLLING_COUNTER,
    OneWorker,
    add_endpoint,
    dead_letters,
    enqueue,
    job,
    one_worker,
    undelivered,
)
from tests.support.ledger import assert_drained
from tests.support.queue import enqueue_held_post
from tests.support.receivers import Receiver
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

INCR = b"$4\r\nINCR\r\n"
"""The command, and no script that has the word in it."""
HGET = b"$4\r\nHGET\r\n"


class Writes(list[bytes]):
    """What all connections wrote, one item a write. A test may act around a write."""

    def __init__(self) -> None:
        super().__init__()
        self.before: Callable[[LoopConnection, bytes], None] = _nothing
        self.after: Callable[[LoopConnection, bytes], None] = _nothing

    def having(self, part: bytes) -> list[bytes]:
        return [write for write in self if part in write]


def _nothing(*_: object) -> None:
    """No-op callback."""


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> Writes:
    """Of workers made after this."""
    seen = Writes()

    class WatchedConnection(LoopConnection):
        def _send(self, data: bytes) -> None:
            seen.append(data)
            seen.before(self, data)
            super()._send(data)
            seen.after(self, data)

    monkeypatch.setattr(take, "LoopConnection", WatchedConnection)
    return seen


@pytest.fixture
def worker(writes: Writes, redis_url: str) -> Any:
    with one_worker(redis_url) as made:
        yield made


def cut(worker: OneWorker) -> None:
    """Close the worker's pop connection from the server's side."""
    worker.client.client_kill_filter(_id=str(worker.slot.counter(telemetry.CLIENT_ID)))


def is_popping(worker: OneWorker) -> bool:
    return worker.slot.activity == telemetry.POLLING


def test_the_first_pop_reports_in_the_same_write_and_no_later_one_does(
    client: Any, redis_url: str, receiver: Receiver, worker: OneWorker, writes: Writes
) -> None:
    endpoint = add_endpoint(client, receiver.url)
    enqueue(redis_url, job(endpoint), job(endpoint))
    assert not worker.up
    worker.step()
    [reporting] = writes.having(INCR)
    assert reporting.index(INCR) < reporting.index(b"BRPOP")
    assert POLLING_COUNTER.encode() in reporting
    assert worker.up
    worker.step()
    worker.start()
    cut(worker)
    enqueue(redis_url, job(endpoint))
    receiver.wait_for(3)
    worker.stop()
    assert client.get(POLLING_COUNTER) == b"1"


def test_a_worker_with_room_takes_its_share_of_a_long_list_in_one_write(
    client: Any, redis_url: str, receiver: Receiver, writes: Writes
) -> None:
    endpoint = add_endpoint(client, receiver.url)
    enqueue(redis_url, *(job(endpoint) for _ in range(60)))
    with one_worker(redis_url, concurrency=20) as worker:
        worker.step(60)
        worker.settle()
    assert len(receiver.received) == 60
    assert any(b"RPOP\r\n$14\r\ndelivery_queue\r\n$2" in write for write in writes), "ten and more"
    assert len(writes.having(SETTLE.sha)) < 60, "settlements go out together"
    assert_drained(client)


def test_a_short_list_is_left_to_the_other_workers(
    client: Any, redis_url: str, receiver: Receiver, writes: Writes
) -> None:
    with one_worker(redis_url, concurrency=20, workers=10) as worker:
        endpoint = add_endpoint(client, receiver.url)
        enqueue(redis_url, *(job(endpoint) for _ in range(10)))
        worker.step(10)
    assert not writes.having(b"$4\r\nRPOP\r\n")


def test_a_worker_shows_what_it_holds_until_it_is_settled(
    client: Any, redis_url: str, receiver: Receiver, worker: OneWorker
) -> None:
    endpoint = add_endpoint(client, receiver.url)
    gate = enqueue_held_post(redis_url, receiver, endpoint, "a")
    sequence = int(client.zscore(keys.OPEN, "a"))
    worker.start()
    receiver.wait_for(1)
    assert worker.slot.activity == telemetry.BUSY
    assert telemetry.held_sequences(worker.slot) == [sequence]
    assert worker.slot.counter(telemetry.IN_FLIGHT) == 1
    gate.set()
    eventually(lambda: is_popping(worker), what="the next pop")
    eventually(lambda: not telemetry.held_sequences(worker.slot), what="the settlement")
    assert not undelivered(client)
    clients = {c["id"]: c for c in client.client_list()}
    assert clients[str(worker.slot.counter(telemetry.CLIENT_ID))]["cmd"] == "brpop"


def test_after_a_cut_connection_settlements_go_first_and_nothing_is_sent_twice(
    client: Any, redis_url: str, receiver: Receiver, worker: OneWorker, writes: Writes
) -> None:
    endpoint = add_endpoint(client, receiver.url)
    gate = enqueue_held_post(redis_url, receiver, endpoint, "a")
    cutting = threading.Event()

    def cut_before_settling(connection: LoopConnection, data: bytes) -> None:
        if SETTLE.sha in data and b"LOAD" not in data and not cutting.is_set():
            cutting.set()
            writes.clear()
            client.client_kill_filter(_type="normal", skipme=True)

    writes.before = cut_before_settling
    worker.start()
    receiver.wait_for(1)
    enqueue(redis_url, job(endpoint, "b"))
    gate.set()
    receiver.wait_for(2)
    worker.stop()
    assert cutting.is_set()
    assert [r.id for r in receiver.received] == ["a", "b"]
    assert_drained(client)
    settles = [(SETTLE.sha in write and b"settled" not in write) or b"EVALSHA" in write for write in writes]
    pops = [b"BRPOP" in write for write in writes]
    assert settles.index(True) < pops.index(True), "first of all on the next connection"


def test_forgotten_scripts_cost_a_reconnect_and_no_job(
    client: Any, redis_url: str, receiver: Receiver, worker: OneWorker
) -> None:
    endpoint = add_endpoint(client, receiver.url)
    for _ in range(3):
        enqueue(redis_url, job(endpoint))
        client.script_flush()
        worker.step()
        worker.settle()
    assert len(receiver.received) == 3
    assert_drained(client)


def test_a_job_that_arrives_too_late_is_given_back_instead_of_posted(
    client: Any, redis_server: RedisServer, redis_url: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server stands still for longer than the fence; the job it answers with may be another's by then."""
    monkeypatch.setattr(take, "FENCE_SECONDS", 0.5)
    endpoint = add_endpoint(client, receiver.url)
    assert redis_server.process is not None
    with one_worker(redis_url) as worker:
        enqueue(redis_url, job(endpoint, "first"))
        worker.step()
        worker.settle()
        enqueue(redis_url, job(endpoint, "late"))
        pid = redis_server.process.pid
        asleep = threading.Timer(0.7, os.kill, (pid, signal.SIGCONT))
        os.kill(pid, signal.SIGSTOP)
        asleep.start()
        worker.start()
        asleep.join()
        receiver.wait_for(2)
        worker.stop()
        assert worker.slot.counter(telemetry.RETURNED) >= 1
        assert [(r.id, r.attempt) for r in receiver.received] == [("first", 1), ("late", 1)]
    assert_drained(client)


def test_an_endpoint_is_read_again_only_after_a_change(
    client: Any, redis_url: str, receiver: Receiver, worker: OneWorker, writes: Writes
) -> None:
    endpoint = add_endpoint(client, receiver.url)
    enqueue(redis_url, *(job(endpoint) for _ in range(3)))
    worker.step(3)
    assert len(writes.having(HGET)) == 1
    worker.settle()
    add_endpoint(client, receiver.url)
    enqueue(redis_url, *(job(endpoint) for _ in range(3)))
    worker.step(3)
    assert len(writes.having(HGET)) == 2


class CutWhileAdopting:
    """Cuts the connections, once, around the write that adopts a foreign element."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.happened = False

    def _now(self, data: bytes) -> bool:
        first = take._ADOPT.sha in data and b"LOAD" not in data and not self.happened
        self.happened = self.happened or first
        return first

    def before_write(self, connection: LoopConnection, data: bytes) -> None:
        """Before the server has read it."""
        if self._now(data):
            self._client.client_kill_filter(_type="normal", skipme=True)

    def before_reply(self, connection: LoopConnection, data: bytes) -> None:
        """After the server has done it, its reply lost."""
        if self._now(data):
            eventually(lambda: self._client.exists(keys.JOBS), what="the script having run")
            connection._lose(redis.ConnectionError("the reply is lost"))


@pytest.mark.parametrize("cut_at", ["before the write", "before the reply"])
def test_what_anyone_pushed_survives_a_connection_cut_while_it_is_adopted(
    client: Any, receiver: Receiver, worker: OneWorker, writes: Writes, cut_at: str
) -> None:
    endpoint = add_endpoint(client, receiver.url)
    cutting = CutWhileAdopting(client)
    if cut_at == "before the write":
        writes.before = cutting.before_write
    else:
        writes.after = cutting.before_reply
    client.lpush(keys.DELIVERY_QUEUE, orjson.dumps({"endpoint": endpoint.id, "payload": {"n": 1}}))
    worker.start()
    receiver.wait_for(1)
    worker.stop()
    assert cutting.happened
    assert [r.body for r in receiver.received] == [b'{"n":1}']
    assert dead_letters(client) == {}
    assert_drained(client)


def test_what_anyone_pushed_is_not_lost_by_a_worker_that_stops_just_then(
    client: Any, receiver: Receiver, worker: OneWorker, writes: Writes
) -> None:
    endpoint = add_endpoint(client, receiver.url)
    cutting = CutWhileAdopting(client)
    writes.before = cutting.before_write
    client.lpush(keys.DELIVERY_QUEUE, orjson.dumps({"endpoint": endpoint.id, "payload": {}, "id": "a"}))
    while not cutting.happened:
        worker.worker.iterate()
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
