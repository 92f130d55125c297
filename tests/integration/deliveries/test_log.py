"""The delivery log: what is kept of each attempt, for how long, and at what price."""

import threading
import time
from typing import Any

import orjson
import pytest

from hookfarm import delivery_queue
from hookfarm.deliveries import dead_letters, log, redelivery, trimming
from hookfarm.deliveries.attempts import of_endpoints, sort_key
from hookfarm.deliveries.filters import DeadLetterFilter
from hookfarm.deliveries.log import DeliveryState
from hookfarm.deliveries.trimming import LogTrimmer
from hookfarm.delivery_queue.job import MAX_OUTCOMES, encode, invalid_job
from hookfarm.errors import Conflict, InvalidInput, NotFound
from hookfarm.records import Endpoint
from hookfarm.registry.store import Registry
from hookfarm.store import keys
from tests.support.delivery import OneWorker, add_endpoint, enqueue, job, kept, one_worker
from tests.support.ledger import assert_drained, place
from tests.support.receivers import Receiver, Reply
from tests.support.waiting import eventually

HOUR = 3600.0


def deliver(worker: OneWorker, redis_url: str, endpoint: Endpoint, *ids: str, body: bytes = b"{}") -> None:
    """Each is attempted once, and settled."""
    enqueue(redis_url, *(job(endpoint, delivery, body) for delivery in ids))
    worker.step(len(ids))
    worker.settle()


def again(client: Any, worker: OneWorker, delivery: str) -> None:
    redelivery.redeliver(client, log.find(client, delivery))
    worker.step()
    worker.settle()


def backdate(client: Any, endpoint: Endpoint) -> None:
    """Makes the attempts in an endpoint's log decades old."""
    key = keys.ATTEMPTS + endpoint.id
    entries = client.xrange(key)
    client.delete(key)
    for number, (_, fields) in enumerate(entries):
        client.xadd(key, fields, id=f"1000-{number}")


def test_a_delivery_is_kept_with_its_payload_and_the_first_kilobyte_of_the_reply(
    client: Any, redis_url: str, worker: OneWorker, receiver: Receiver
) -> None:
    endpoint = add_endpoint(client, receiver.url)
    receiver.reply_with(Reply(202, body=b"r" * 3000))
    began = time.time()
    deliver(worker, redis_url, endpoint, "msg_a", body=b'{"n":1.10}')
    found = log.find(client, "msg_a")
    [attempt] = found.attempts
    assert (found.state, found.endpoint, found.payload, found.reason) == (
        DeliveryState.DELIVERED, endpoint.id, b'{"n":1.10}', None,
    )  # fmt: skip
    assert (attempt["status"], attempt["detail"]) == (202, "r" * 1024)
    assert began - 0.01 <= attempt["at"] <= time.time()
    assert found.at_ms == int(attempt["at"] * 1000)
    [logged] = log.attempts(client, endpoint.id)
    assert (logged.delivery, logged.number, logged.status, logged.delivered) == ("msg_a", 1, 202, True)
    assert logged.duration_ms == attempt["duration_ms"]
    assert log.logged_endpoints(client) == {endpoint.id}
    assert_drained(client)


def test_a_failure_is_kept_with_what_the_endpoint_said(
    client: Any, redis_url: str, worker: OneWorker, receiver: Receiver
) -> None:
    endpoint = add_endpoint(client, receiver.url)
    receiver.reply_with(Reply(503, body=b"come \xff later"))
    deliver(worker, redis_url, endpoint, "msg_a")
    found = log.find(client, "msg_a")
    [attempt] = found.attempts
    assert found.state is DeliveryState.RETRY
    assert found.at_ms is not None
    assert found.at_ms > time.time() * 1000
    assert (attempt["status"], attempt["detail"]) == (503, "come \N{REPLACEMENT CHARACTER} later")
    [logged] = log.attempts(client, endpoint.id)
    assert (logged.delivery, logged.number, logged.status, logged.delivered) == ("msg_a", 1, 503, False)


def test_an_endpoint_that_does_not_answer_is_kept_as_a_time_out(
    client: Any, redis_url: str, worker: OneWorker, receiver: Receiver
) -> None:
    endpoint = add_endpoint(client, receiver.url, timeout_seconds=0.1)
    late = threading.Event()
    receiver.reply_with(Reply(after=late))
    deliver(worker, redis_url, endpoint, "msg_a")
    late.set()
    [attempt] = log.find(client, "msg_a").attempts
    [logged] = log.attempts(client, endpoint.id)
    assert (attempt["error"], logged.error, logged.status, logged.delivered) == ("timeout", "timeout", None, False)
    assert logged.duration_ms >= 100


def test_an_endpoint_keeps_so_many_attempts_and_their_deliveries(
    client: Any, redis_url: str, receiver: Receiver
) -> None:
    endpoint, other = (add_endpoint(client, receiver.url) for _ in range(2))
    with one_worker(redis_url, logged_attempts=3) as worker:
        deliver(worker, redis_url, other, "msg_other")
        for number in range(10):
            deliver(worker, redis_url, endpoint, f"msg_{number}")
            assert client.xlen(keys.ATTEMPTS + endpoint.id) <= 3
    logged = log.attempts(client, endpoint.id)
    assert logged[0].delivery == "msg_9"
    assert client.hlen(keys.DELIVERED) == len(logged) + 1
    assert all(log.find(client, attempt.delivery) for attempt in logged)
    assert log.find(client, "msg_other").state is DeliveryState.DELIVERED
    with pytest.raises(NotFound, match="msg_0"):
        log.find(client, "msg_0")


def test_what_is_too_old_goes_with_its_delivery_and_the_rest_stays(
    client: Any, redis_url: str, worker: OneWorker, receiver: Receiver
) -> None:
    old, new, both = (add_endpoint(client, receiver.url) for _ in range(3))
    deliver(worker, redis_url, old, "msg_old")
    deliver(worker, redis_url, both, "msg_first")
    backdate(client, old)
    backdate(client, both)
    deliver(worker, redis_url, new, "msg_new")
    deliver(worker, redis_url, both, "msg_second")
    LogTrimmer(kept_attempts=100, age_seconds=HOUR).perform(client)
    assert log.states(client, ["msg_old", "msg_first", "msg_new", "msg_second"]) == [
        None, None, DeliveryState.DELIVERED, DeliveryState.DELIVERED,
    ]  # fmt: skip
    assert log.logged_endpoints(client) == {new.id, both.id}
    assert client.exists(keys.ATTEMPTS + old.id) == 0
    assert [a.delivery for a in log.attempts(client, both.id)] == ["msg_second"]


def test_a_shorter_log_is_trimmed_to_its_new_length(
    client: Any, redis_url: str, worker: OneWorker, receiver: Receiver
) -> None:
    endpoint = add_endpoint(client, receiver.url)
    deliver(worker, redis_url, endpoint, *(f"msg_{number}" for number in range(5)))
    LogTrimmer(kept_attempts=2, age_seconds=HOUR).perform(client)
    assert [a.delivery for a in log.attempts(client, endpoint.id)] == ["msg_4", "msg_3"]
    assert client.hlen(keys.DELIVERED) == 2


def test_the_log_of_all_endpoints_is_bounded_in_bytes_the_oldest_go_first(
    client: Any, redis_url: str, worker: OneWorker, receiver: Receiver
) -> None:
    endpoints = [add_endpoint(client, receiver.url) for _ in range(2)]
    body = b'{"padding":"%b"}' % (b"x" * 20_000)
    for number in range(20):
        deliver(worker, redis_url, endpoints[number % 2], f"msg_{number:02}", body=body)
    before = trimming.size_in_bytes(client)
    LogTrimmer(100, HOUR, max_bytes=before).perform(client)
    assert client.hlen(keys.DELIVERED) == 20
    for _ in range(5):
        LogTrimmer(100, HOUR, max_bytes=before // 2).perform(client)
    kept = sorted(name.decode() for name in client.hkeys(keys.DELIVERED))
    assert trimming.size_in_bytes(client) <= before // 2
    assert kept == [f"msg_{number:02}" for number in range(20 - len(kept), 20)]
    assert all(log.attempts(client, endpoint.id) for endpoint in endpoints)


def test_a_delivery_that_was_sent_again_outlives_its_older_attempt(
    client: Any, redis_url: str, worker: OneWorker, receiver: Receiver
) -> None:
    endpoint = add_endpoint(client, receiver.url)
    deliver(worker, redis_url, endpoint, "msg_a")
    backdate(client, endpoint)
    again(client, worker, "msg_a")
    LogTrimmer(kept_attempts=100, age_seconds=HOUR).perform(client)
    [logged] = log.attempts(client, endpoint.id)
    found = log.find(client, "msg_a")
    assert (logged.number, found.state, len(found.attempts)) == (2, DeliveryState.DELIVERED, 2)


def test_trimming_does_not_touch_what_is_still_owed(
    client: Any, redis_url: str, worker: OneWorker, receiver: Receiver
) -> None:
    endpoint = add_endpoint(client, receiver.url)
    receiver.reply_with(500)
    deliver(worker, redis_url, endpoint, "msg_a")
    backdate(client, endpoint)
    LogTrimmer(kept_attempts=100, age_seconds=HOUR).perform(client)
    assert log.attempts(client, endpoint.id) == []
    assert log.find(client, "msg_a").state is DeliveryState.RETRY


def test_a_full_server_refuses_the_log_and_still_settles(
    client: Any, redis_url: str, worker: OneWorker, receiver: Receiver
) -> None:
    endpoint = add_endpoint(client, receiver.url)
    deliver(worker, redis_url, endpoint, "msg_before")
    enqueue(redis_url, job(endpoint, "msg_during"))
    client.config_set("maxmemory", 1)
    worker.step()
    worker.settle()
    client.config_set("maxmemory", 0)
    assert [r.id for r in receiver.received] == ["msg_before", "msg_during"]
    assert_drained(client)
    assert log.states(client, ["msg_before", "msg_during"]) == [DeliveryState.DELIVERED, None]
    assert [a.delivery for a in log.attempts(client, endpoint.id)] == ["msg_before"]
    deliver(worker, redis_url, endpoint, "msg_after")
    assert log.find(client, "msg_after").state is DeliveryState.DELIVERED


def test_a_server_nearly_full_gets_half_of_each_log_back(
    client: Any, redis_url: str, worker: OneWorker, receiver: Receiver
) -> None:
    endpoint = add_endpoint(client, receiver.url)
    deliver(worker, redis_url, endpoint, *(f"msg_{number}" for number in range(8)))
    trimmer = LogTrimmer(kept_attempts=100, age_seconds=HOUR)
    trimmer.perform(client)
    assert client.xlen(keys.ATTEMPTS + endpoint.id) == 8
    client.config_set("maxmemory", int(client.info("memory")["used_memory"] / 0.95))
    assert trimming.is_nearly_full(client)
    trimmer.perform(client)
    client.config_set("maxmemory", 0)
    assert client.xlen(keys.ATTEMPTS + endpoint.id) == 4
    assert not trimming.is_nearly_full(client)


def test_a_delivery_is_found_wherever_it_is(
    client: Any, redis_url: str, worker: OneWorker, receiver: Receiver
) -> None:
    endpoint, paused = add_endpoint(client, receiver.url), add_endpoint(client, receiver.url, enabled=False)
    enqueue(redis_url, job(paused, "msg_parked"))
    receiver.reply_with(200, 500, 410)
    deliver(worker, redis_url, endpoint, "msg_delivered", "msg_retry", "msg_dead")
    working = add_endpoint(client, receiver.url)
    enqueue(redis_url, job(working, "msg_open"))
    places = {f"msg_{place.value}": place for place in DeliveryState}
    ids = [*places, "msg_unknown"]
    found = log.find_all(client, ids)
    assert [d and d.state for d in found] == [*places.values(), None]
    assert log.states(client, ids) == [*places.values(), None]
    assert [log.find(client, delivery).state for delivery in places] == list(places.values())
    dead = log.find(client, "msg_dead")
    assert (dead.reason, dead.attempts[0]["status"]) == ("endpoint_gone", 410)
    assert not log.find_all(client, [])
    assert not log.states(client, [])


def test_what_was_delivered_is_sent_again_under_the_same_id(
    client: Any, redis_url: str, worker: OneWorker, receiver: Receiver
) -> None:
    endpoint = add_endpoint(client, receiver.url)
    deliver(worker, redis_url, endpoint, "msg_a", body=b'{"n":1.10}')
    again(client, worker, "msg_a")
    first, second = receiver.received
    assert (first.id, first.attempt, first.body) == ("msg_a", 1, b'{"n":1.10}')
    assert (second.id, second.attempt, second.body) == ("msg_a", 2, b'{"n":1.10}')
    assert len(log.find(client, "msg_a").attempts) == 2
    assert_drained(client)


def test_what_is_sent_again_begins_its_schedule_anew(client: Any, redis_url: str, receiver: Receiver) -> None:
    endpoint = add_endpoint(client, receiver.url)
    receiver.default = Reply(500)
    with one_worker(redis_url, schedule=(0.01, 0.01)) as worker:
        enqueue(redis_url, job(endpoint, "msg_a"))

        def dead() -> bool:
            delivery_queue.tick(client)
            if client.llen(keys.DELIVERY_QUEUE):
                worker.step()
                worker.settle()
            return log.states(client, ["msg_a"]) == [DeliveryState.DEAD]

        eventually(dead, what="the end of the schedule")
        assert [r.attempt for r in receiver.received] == [1, 2, 3]
        redelivery.redeliver(client, log.find(client, "msg_a"))
        eventually(dead, what="the end of the schedule that began anew")
    assert [r.attempt for r in receiver.received] == [1, 2, 3, 4, 5, 6]
    found = log.find(client, "msg_a")
    assert (found.reason, len(found.attempts)) == ("exhausted", 6)


def test_what_is_on_its_way_or_changed_is_not_sent_again(
    client: Any, redis_url: str, worker: OneWorker, receiver: Receiver
) -> None:
    endpoint = add_endpoint(client, receiver.url)
    deliver(worker, redis_url, endpoint, "msg_a")
    stale = log.find(client, "msg_a")
    redelivery.redeliver(client, stale)
    with pytest.raises(Conflict, match="has changed"):
        redelivery.redeliver(client, stale)
    with pytest.raises(Conflict, match="queued already"):
        redelivery.redeliver(client, log.find(client, "msg_a"))
    assert client.llen(keys.DELIVERY_QUEUE) == 1


def test_many_are_sent_again_in_one_round_trip_and_each_answered_for(
    client: Any, redis_url: str, worker: OneWorker, receiver: Receiver
) -> None:
    endpoint = add_endpoint(client, receiver.url)
    ids = ["msg_a", "msg_b", "msg_c"]
    deliver(worker, redis_url, endpoint, *ids)
    found = [d for d in log.find_all(client, ids) if d is not None]
    assert log.find_all(client, tuple(ids)) == found
    redelivery.redeliver(client, found[1])
    client.script_flush()
    refused = redelivery.redeliver_all(client, found)
    assert [str(r) if r else None for r in refused] == [None, "msg_b has changed; read it again", None]
    worker.step(3)
    worker.settle()
    assert [r.id for r in receiver.received[3:]] == ["msg_b", "msg_a", "msg_c"]


def test_a_delivery_sent_again_and_again_does_not_grow_for_ever(client: Any) -> None:
    outcome = {"at": 1.5, "duration_ms": 1, "status": 200, "detail": ""}
    many = [outcome] * (MAX_OUTCOMES + 50)
    header = {"id": "msg_a", "endpoint": "ep_x", "attempt": 151, "outcomes": many}
    client.hset(keys.JOBS, "msg_a", encode(header, b"{}"))
    client.hset(keys.DELIVERED, "msg_a", orjson.dumps({"done": 151, "outcome": outcome}))
    redelivery.redeliver(client, log.find(client, "msg_a"))
    job_ = kept(client, "msg_a")
    assert (len(job_["outcomes"]), job_["attempt"], job_["base"]) == (MAX_OUTCOMES, 152, 151)


def test_garbage_is_found_and_purged_but_not_sent(client: Any, redis_url: str, worker: OneWorker) -> None:
    client.lpush(keys.DELIVERY_QUEUE, b"\xff not JSON")
    worker.step()
    [letter] = dead_letters.iterate(client, DeadLetterFilter())
    assert (letter.endpoint, letter.is_invalid_job, letter.state, letter.attempts) == (
        "",
        True,
        DeliveryState.DEAD,
        (),
    )
    assert letter.source == keys.DELIVERY_QUEUE
    assert orjson.loads(letter.payload) == "\\xff not JSON"
    assert "not JSON" in (letter.reason or "")
    assert orjson.loads(orjson.dumps(letter.as_json()))["payload"] == "\\xff not JSON"
    with pytest.raises(Conflict, match="is not a delivery"):
        redelivery.redeliver(client, log.find(client, letter.id))
    assert dead_letters.purge(client, [letter.id, "msg_unknown"]) == 1
    assert dead_letters.purge(client, []) == dead_letters.purge(client, [letter.id]) == 0
    assert list(dead_letters.iterate(client, DeadLetterFilter())) == []


def fabricated_letters(client: Any, count: int, died_ms: int) -> list[str]:
    """So much garbage, dead in one millisecond."""
    letters = dict(invalid_job(b"%d" % number, f"reason: {number}", "test") for number in range(count))
    client.hset(keys.JOBS, mapping=letters)
    place(client, keys.DEAD, dict.fromkeys(letters, died_ms))
    return list(letters)


def test_dead_letters_that_leave_while_they_are_read_hide_no_others(client: Any) -> None:
    letters = fabricated_letters(client, 1300, died_ms=5000)
    read = []
    for letter in dead_letters.iterate(client, DeadLetterFilter()):
        read.append(letter.id)
        dead_letters.purge(client, [letter.id])
    assert sorted(read) == sorted(letters)
    assert client.zcard(keys.DEAD) == 0


def test_dead_letters_are_read_newest_first_and_their_ids_oldest_first(
    client: Any, redis_url: str, worker: OneWorker, receiver: Receiver
) -> None:
    fabricated_letters(client, 600, died_ms=5000)
    gone = add_endpoint(client, receiver.url)
    receiver.reply_with(410)
    deliver(worker, redis_url, gone, "msg_gone")
    assert next(dead_letters.iterate(client, DeadLetterFilter())).id == "msg_gone"
    ids = dead_letters.ids(client, DeadLetterFilter())
    assert (len(ids), ids[-1]) == (601, "msg_gone")
    assert ids == [letter.id for letter in dead_letters.iterate(client, DeadLetterFilter())][::-1]


@pytest.mark.parametrize(
    ("endpoint", "reason", "count"),
    [
        ("", None, 600), ("ep_unknown", None, 0), (None, "reason: 7", 1), (None, "reason", 600),
        (None, "reaso", 0), ("", "reason: 599", 1), (None, "reason: 600", 0),
    ],
)  # fmt: skip
def test_dead_letters_are_chosen_by_endpoint_and_reason(
    client: Any, endpoint: str | None, reason: str | None, count: int
) -> None:
    fabricated_letters(client, 600, died_ms=5000)
    assert len(list(dead_letters.iterate(client, DeadLetterFilter(endpoint, reason)))) == count
    assert len(dead_letters.ids(client, DeadLetterFilter(endpoint, reason))) == count


def fabricated_attempts(client: Any, endpoint: str, *cursors: str) -> None:
    with client.pipeline() as pipe:
        for cursor in cursors:
            pipe.xadd(keys.ATTEMPTS + endpoint, {"a": f"msg_{endpoint}_{cursor} 1 200 1"}, id=cursor)
        pipe.execute()


@pytest.mark.parametrize("page", [1, 2, 3, 100])
def test_the_logs_of_several_endpoints_are_read_as_one_and_each_attempt_once(client: Any, page: int) -> None:
    logs = {
        "ep_a": ("1000-0", "1000-1", "3000-0"), "ep_b": ("1000-0", "2000-0", "3000-0"), "ep_c": (),
        "ep_d": ("999-5", "1000-0", "1000-2"),
    }  # fmt: skip
    for endpoint, cursors in logs.items():
        fabricated_attempts(client, endpoint, *cursors)
    read: list[tuple[str, str]] = []
    before = None
    while True:
        some = [a for a, _ in zip(of_endpoints(client, list(logs), before), range(page), strict=False)]
        if not some:
            break
        read += [(a.endpoint, a.cursor) for a in some]
        before = sort_key(some[-1])
    assert read == [
        ("ep_b", "3000-0"), ("ep_a", "3000-0"), ("ep_b", "2000-0"), ("ep_d", "1000-2"), ("ep_a", "1000-1"),
        ("ep_d", "1000-0"), ("ep_b", "1000-0"), ("ep_a", "1000-0"), ("ep_d", "999-5"),
    ]  # fmt: skip


def test_a_long_log_is_read_to_its_end_or_as_far_as_asked(client: Any) -> None:
    fabricated_attempts(client, "ep_long", *(f"{ms}-0" for ms in range(1, 1301)))
    fabricated_attempts(client, "ep_short", "700-0")
    endpoints = ["ep_long", "ep_short"]
    assert [a.at_ms for a in of_endpoints(client, endpoints)] == sorted([*range(1, 1301), 700], reverse=True)
    assert [a.at_ms for a in of_endpoints(client, endpoints, since_ms=1299)] == [1300, 1299]
    assert [a.at_ms for a in of_endpoints(client, ["ep_long"], before="3-0")] == [2, 1]
    assert [a.at_ms for a in log.attempts(client, "ep_long", "4-0", 2, 50)] == [3, 2]


@pytest.mark.parametrize("cursor", ["", "x", "1", "1-", "-1", "1-1-1", "+", "(1-1", "9" * 17 + "-0", "1-0\n"])
def test_a_bad_cursor_is_refused(client: Any, cursor: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        log.attempts(client, "ep_a", cursor)
    assert caught.value.field == "before"
    for endpoints in (["ep_a"], []):
        with pytest.raises(InvalidInput):
            of_endpoints(client, endpoints, f"{cursor}/ep_a")


def test_the_first_cursor_there_can_be_has_nothing_before_it(client: Any) -> None:
    fabricated_attempts(client, "ep_a", "0-1", "5-0")
    assert log.attempts(client, "ep_a", "0-0") == []
    assert log.attempts(client, "ep_a", "0-1") == []


def test_what_is_sent_again_to_a_disabled_endpoint_waits_there(
    client: Any, redis_url: str, worker: OneWorker, receiver: Receiver
) -> None:
    endpoint = add_endpoint(client, receiver.url)
    deliver(worker, redis_url, endpoint, "msg_a")
    Registry(client).disable(endpoint.id, "test")
    redelivery.redeliver(client, log.find(client, "msg_a"))
    assert log.states(client, ["msg_a"]) == [DeliveryState.PARKED]
