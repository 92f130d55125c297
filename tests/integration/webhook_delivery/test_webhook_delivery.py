"""One delivery process between a real queue and a real receiver."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from email.utils import formatdate
from typing import Any

import pytest

import hookfarm
from hookfarm import delivery_queue
from hookfarm.farm.scoreboard import State
from hookfarm.records import Endpoint
from hookfarm.registry.store import Registry
from hookfarm.store import keys
from hookfarm.webhook_delivery import telemetry
from tests.support.delivery import (
    OneWorker,
    add_endpoint,
    dead_letters,
    due_in_seconds,
    enqueue,
    job,
    kept,
    one_worker,
    parked,
)
from tests.support.ledger import assert_drained, place
from tests.support.receivers import Receiver, Reply, running_receiver, verified
from tests.support.waiting import eventually

NEW = (("X-New", "1"),)
HUGE = b'{"value":"x","n":115792089237316195423570985008687907853269984665640564039457584007913129639935}'


def test_a_job_is_delivered_and_forgotten(
    client: Any, redis_url: str, receiver: Receiver, worker: OneWorker
) -> None:
    endpoint = add_endpoint(client, receiver.url, headers=(("X-Custom", "yes"),))
    receiver.trust(endpoint.secrets[0][0])
    enqueue(redis_url, job(endpoint, "msg_a", HUGE))
    worker.step()
    worker.settle()
    [received] = receiver.received
    assert (received.id, received.attempt, received.body) == ("msg_a", 1, HUGE)
    assert received.signature_valid
    assert received.header("webhook-timestamp") == str(int(received.at))
    assert received.header("user-agent") == f"hookfarm/{hookfarm.__version__}"
    assert received.header("content-type") == "application/json"
    assert received.header("X-Custom") == "yes"
    assert sorted(name for name, _ in received.headers) == [
        "X-Custom", "accept", "accept-encoding", "content-length", "content-type", "host", "user-agent",
        "webhook-attempt", "webhook-id", "webhook-signature", "webhook-timestamp",
    ]  # fmt: skip
    assert_drained(client)
    assert worker.slot.counter(telemetry.DELIVERED) == 1


def test_jobs_are_delivered_in_the_order_of_the_queue(
    client: Any, redis_url: str, receiver: Receiver, worker: OneWorker
) -> None:
    endpoint = add_endpoint(client, receiver.url)
    enqueue(redis_url, *(job(endpoint, f"m{n}") for n in range(20)))
    worker.step(20)
    worker.settle()
    assert [r.id for r in receiver.received] == [f"m{n}" for n in range(20)]
    assert receiver.connections == 1
    assert_drained(client)


def test_a_failed_attempt_is_tried_again_with_the_same_id(client: Any, redis_url: str, receiver: Receiver) -> None:
    endpoint = add_endpoint(client, receiver.url)
    receiver.trust(endpoint.secrets[0][0])
    receiver.reply_with(Reply(500, body=b"try \xff later"), 404)
    enqueue(redis_url, job(endpoint, "a", HUGE))
    with one_worker(redis_url, schedule=(60.0, 600.0)) as worker:
        for attempt, wait in ((1, 60), (2, 600)):
            worker.step()
            worker.settle()
            assert kept(client, "a")["attempt"] == attempt + 1
            assert due_in_seconds(client, "a") == pytest.approx(wait, rel=0.25)
            place(client, keys.RETRY, {"a": 1})
            assert delivery_queue.tick(client) == 1
        first, second = kept(client, "a")["outcomes"]
        assert (first["status"], first["detail"], second["status"]) == (500, "try \ufffd later", 404)
        worker.step()
        worker.settle()
    assert [(r.id, r.attempt, r.signature_valid, r.body) for r in receiver.received] == [
        ("a", n, True, HUGE) for n in (1, 2, 3)
    ]
    assert_drained(client)


def test_every_attempt_is_signed_at_its_own_time(
    client: Any, redis_url: str, receiver: Receiver, worker: OneWorker
) -> None:
    endpoint = add_endpoint(client, receiver.url)
    enqueue(redis_url, job(endpoint, "a"))
    receiver.reply_with(500)
    began = [int(time.time())]
    worker.step()
    worker.settle()
    eventually(lambda: int(time.time()) > receiver.received[0].at, what="a later second than the first attempt's")
    place(client, keys.RETRY, {"a": 1})
    delivery_queue.tick(client)
    began.append(int(time.time()))
    worker.step()
    worker.settle()
    signed = [int(request.header("webhook-timestamp")) for request in receiver.received]
    arrived = [request.at for request in receiver.received]
    assert began[0] <= signed[0] <= arrived[0] < began[1] <= signed[1] <= arrived[1]


@pytest.mark.parametrize(("status", "asked", "due"), [(429, "3600", 3600), (503, "date", 7200), (500, "soon", 60)])
def test_retry_after_decides_when(
    client: Any, redis_url: str, receiver: Receiver, status: int, asked: str, due: int
) -> None:
    endpoint = add_endpoint(client, receiver.url)
    value = formatdate(time.time() + 7200, usegmt=True) if asked == "date" else asked
    receiver.reply_with(Reply(status, (("Retry-After", value),)))
    enqueue(redis_url, job(endpoint, "a"))
    with one_worker(redis_url, schedule=(60.0,)) as worker:
        worker.step()
        worker.settle()
    assert due_in_seconds(client, "a") == pytest.approx(due, rel=0.25)


def test_after_the_schedule_a_job_is_a_dead_letter(client: Any, redis_url: str, receiver: Receiver) -> None:
    endpoint = add_endpoint(client, receiver.url)
    receiver.default = Reply(503, body=b"down")
    enqueue(redis_url, job(endpoint, "a"))
    with one_worker(redis_url, schedule=(0.0, 0.0)) as worker:
        for _ in range(3):
            worker.step()
            worker.settle()
            delivery_queue.tick(client)
        assert worker.slot.counter(telemetry.FAILED) == 3
        assert worker.slot.counter(telemetry.DEAD) == 1
    letter = dead_letters(client)["a"]
    assert letter["reason"] == "exhausted"
    assert [outcome["status"] for outcome in letter["outcomes"]] == [503, 503, 503]
    assert_drained(client)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://nothing.invalid/"])
def test_an_endpoint_that_cannot_be_reached_is_tried_again(
    client: Any, redis_url: str, worker: OneWorker, url: str
) -> None:
    enqueue(redis_url, job(add_endpoint(client, url), "a"))
    worker.step()
    worker.settle()
    assert kept(client, "a")["outcomes"][0]["error"] in ("connection", "name_not_resolved")
    assert client.zcard(keys.RETRY) == 1


def test_410_disables_the_endpoint_and_kills_the_job(
    client: Any, redis_url: str, receiver: Receiver, worker: OneWorker
) -> None:
    endpoint = add_endpoint(client, receiver.url)
    receiver.reply_with(410)
    enqueue(redis_url, job(endpoint, "a"), job(endpoint, "b"))
    worker.step(2)
    worker.settle()
    stored = Registry(client).get(endpoint.id)
    assert (stored.enabled, stored.disabled_reason) == (False, "the endpoint answered 410 Gone")
    assert stored.secrets == endpoint.secrets
    assert {name: letter["reason"] for name, letter in dead_letters(client).items()} == {"a": "endpoint_gone"}
    assert parked(client, endpoint) == ["b"]
    assert len(receiver.received) == 1


def test_410_from_an_endpoint_that_is_removed_meanwhile_only_kills_the_job(
    client: Any, redis_url: str, receiver: Receiver, worker: OneWorker
) -> None:
    endpoint = add_endpoint(client, receiver.url)
    gate = threading.Event()
    receiver.reply_with(Reply(410, after=gate))
    enqueue(redis_url, job(endpoint, "a"))
    worker.start()
    receiver.wait_for(1)
    Registry(client).remove(endpoint.id)
    gate.set()
    eventually(lambda: client.zcard(keys.DEAD), what="the dead letter")
    worker.stop()
    assert dead_letters(client)["a"]["reason"] == "endpoint_gone"


def test_jobs_for_what_is_no_endpoint_are_dead_letters(
    client: Any, redis_url: str, receiver: Receiver, worker: OneWorker
) -> None:
    removed = add_endpoint(client, receiver.url)
    enqueue(redis_url, job(removed, "removed"), job("ep_never", "never"))
    Registry(client).remove(removed.id)
    worker.step(2)
    worker.settle()
    reasons = {job_id: letter["reason"] for job_id, letter in dead_letters(client).items()}
    assert reasons == {"removed": "endpoint_removed", "never": "endpoint_removed"}
    assert receiver.received == []


def test_a_url_that_the_operator_no_longer_allows_is_not_posted_to(
    client: Any, redis_url: str, receiver: Receiver
) -> None:
    enqueue(redis_url, job(add_endpoint(client, receiver.url), "a"))
    with one_worker(redis_url, allowed=()) as worker:
        worker.step()
        worker.settle()
    assert dead_letters(client)["a"]["reason"].startswith("endpoint_invalid: url: 127.0.0.1 is a loopback address")
    assert receiver.connections == 0


def test_a_change_of_the_endpoint_holds_for_jobs_already_queued(
    client: Any, redis_url: str, receiver: Receiver, worker: OneWorker
) -> None:
    registry = Registry(client)
    endpoint = add_endpoint(client, receiver.url)

    def deliver_next(name: str, change: Callable[[], object]) -> None:
        """Change the endpoint between the enqueue and the pop."""
        worker.settle()
        enqueue(redis_url, job(endpoint, name))
        change()
        worker.step()

    deliver_next("a", lambda: None)
    with running_receiver() as other:
        deliver_next("b", lambda: registry.edit(endpoint.id, lambda e: replace(e, url=other.url, headers=NEW)))
        assert (len(receiver.received), len(other.received)) == (1, 1)
        assert other.received[0].header("X-New") == "1"
        rotated: list[Endpoint] = []
        deliver_next("c", lambda: rotated.append(registry.rotate_secret(endpoint.id)))
        received = other.received[1]
        assert len(received.header("webhook-signature").split(" ")) == 2
        for secret in (rotated[0].secrets[0][0], endpoint.secrets[0][0]):
            assert verified(secret, received.body, dict(received.headers))
        deliver_next("d", lambda: registry.edit(endpoint.id, lambda e: replace(e, enabled=False)))
        worker.settle()
        assert parked(client, endpoint) == ["d"]


@pytest.mark.parametrize("identity", [b'"id":"order-66",', b""])
def test_what_anyone_pushes_is_delivered_like_any_other(
    client: Any, receiver: Receiver, worker: OneWorker, identity: bytes
) -> None:
    endpoint = add_endpoint(client, receiver.url)
    receiver.trust(endpoint.secrets[0][0])
    receiver.reply_with(500)
    client.lpush(keys.DELIVERY_QUEUE, b'{%b"endpoint":"%b","payload":%b}' % (identity, endpoint.id.encode(), HUGE))
    worker.step()
    worker.settle()
    [waiting] = client.zrange(keys.RETRY, 0, -1)
    place(client, keys.RETRY, {waiting: 1})
    delivery_queue.tick(client)
    worker.step()
    worker.settle()
    first, second = receiver.received
    assert (first.attempt, second.attempt, first.id) == (1, 2, second.id)
    assert first.id == "order-66" if identity else first.id.startswith("msg_")
    assert first.body == second.body == HUGE
    assert first.signature_valid
    assert second.signature_valid
    assert_drained(client)


def test_garbage_does_not_keep_the_valid_from_being_delivered(
    client: Any, redis_url: str, receiver: Receiver, worker: OneWorker
) -> None:
    endpoint = add_endpoint(client, receiver.url)
    garbage = [
        b"", b"{}", b"[" * 100_000, b"\xff", b'{"seq":1}', b'{"seq":99999999999999999,"id":"a","endpoint":"b"}',
        b"x" * 3_000_000,
        b'{"endpoint":"%b","payload":{"a":%b}}' % (endpoint.id.encode(), b"[" * 1015 + b"]" * 1015),
        b'{"seq":18446744073709551615,"id":"a","endpoint":"b","attempt":1,"payload":{}}',
        b'{"seq":1,"id":"a\\r\\nx: y","endpoint":"%b","attempt":1,"payload":{}}' % endpoint.id.encode(),
        b'{"seq":1,"id":"a","endpoint":"%b","attempt":-9,"payload":{}}' % endpoint.id.encode(),
    ]  # fmt: skip
    for raw in garbage:
        client.lpush(keys.DELIVERY_QUEUE, raw)
        enqueue(redis_url, job(endpoint))
    worker.start()
    receiver.wait_for(len(garbage))
    eventually(lambda: delivery_queue.read_depths(client).open == 0, what="everything settled")
    worker.stop()
    letters = dead_letters(client)
    assert all(letter["reason"] for letter in letters.values())
    delivered = {r.id for r in receiver.received}
    assert len(letters) + len(delivered) == 2 * len(garbage)
    assert worker.slot.state == State.QUIET


def test_attempts_and_waits_are_measured(
    client: Any, redis_url: str, receiver: Receiver, worker: OneWorker
) -> None:
    endpoint = add_endpoint(client, receiver.url)
    receiver.reply_with(500)
    enqueue(redis_url, job(endpoint), job(endpoint))
    worker.step(2)
    worker.settle()
    assert sum(telemetry.totals_of([worker.slot], telemetry.POST_TIMES)) == 2
    assert sum(telemetry.totals_of([worker.slot], telemetry.QUEUE_TIMES)) == 1


def test_several_workers_share_the_queue_and_no_job(client: Any, redis_url: str, receiver: Receiver) -> None:
    endpoint = add_endpoint(client, receiver.url)
    receiver.trust(endpoint.secrets[0][0])
    ids = [f"m{n}" for n in range(200)]
    with one_worker(redis_url) as a, one_worker(redis_url) as b, one_worker(redis_url) as c:
        for each in (a, b, c):
            each.start()
        enqueue(redis_url, *(job(endpoint, name) for name in ids))
        receiver.wait_for(200)
        for each in (a, b, c):
            each.stop()
    assert sorted(r.id for r in receiver.received) == sorted(ids)
    assert all(r.signature_valid for r in receiver.received)
    assert_drained(client)
