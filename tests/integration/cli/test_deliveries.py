"""`hookfarm deliveries` and `hookfarm dead-letters` as a user runs them, over deliveries that were made."""

import json
from functools import partial
from typing import Any

import pytest

from hookfarm import delivery_queue
from hookfarm.deliveries import log, redelivery
from hookfarm.deliveries.log import DeliveryState
from hookfarm.delivery_queue.job import invalid_job
from hookfarm.records import Endpoint
from hookfarm.store import keys
from tests.support.delivery import OneWorker, add_endpoint, due_in_seconds, enqueue, job
from tests.support.finished_command import Command, done, refused, run
from tests.support.ledger import place
from tests.support.receivers import Receiver, Reply

UNKNOWN_ID = "msg_unknown"


@pytest.fixture
def hookfarm(redis_url: str) -> Command:
    return partial(run, redis_url)


@pytest.fixture
def endpoint(client: Any, receiver: Receiver) -> Endpoint:
    made = add_endpoint(client, receiver.url)
    receiver.trust(made.secrets[0][0])
    return made


def deliver(worker: OneWorker, redis_url: str, endpoint: Endpoint, *ids: str, body: bytes = b"{}") -> None:
    """Each is attempted once, and settled."""
    enqueue(redis_url, *(job(endpoint, delivery, body) for delivery in ids))
    attempt(worker, len(ids))


def attempt(worker: OneWorker, times: int = 1) -> None:
    worker.step(times)
    worker.settle()


def dead_letter(client: Any, *letters: bytes) -> list[str]:
    """Garbage among the dead letters."""
    found = dict(invalid_job(letter, "delivery_queue: not JSON", "delivery_queue") for letter in letters)
    client.hset(keys.JOBS, mapping=found)
    place(client, keys.DEAD, dict.fromkeys(found, 5000))
    return list(found)


def test_attempts_are_listed_with_where_their_deliveries_are_now(
    client: Any, redis_url: str, worker: OneWorker, receiver: Receiver, endpoint: Endpoint, hookfarm: Command
) -> None:
    other = add_endpoint(client, receiver.url)
    receiver.reply_with(200, 503, 410)
    deliver(worker, redis_url, endpoint, "msg_a", "msg_b")
    deliver(worker, redis_url, other, "msg_c")
    listed = json.loads(done(hookfarm("deliveries", "list", "--json")))
    assert listed["next_cursor"] is None
    shown = [
        (a["id"], a["endpoint"], a["attempt"], a["status"], a["delivered"], a["state"]) for a in listed["attempts"]
    ]
    assert shown == [
        ("msg_c", other.id, 1, 410, False, "dead"),
        ("msg_b", endpoint.id, 1, 503, False, "retry"),
        ("msg_a", endpoint.id, 1, 200, True, "delivered"),
    ]
    lines = done(hookfarm("deliveries", "list", "--endpoint", endpoint.id)).splitlines()
    assert [line.split()[1:5] + line.split()[-1:] for line in lines] == [
        ["delivery", "endpoint", "attempt", "result", "state"],
        ["msg_b", endpoint.id, "#1", "503", "retry"],
        ["msg_a", endpoint.id, "#1", "200", "delivered"],
    ]
    assert lines[1].split()[0].endswith("Z")


@pytest.mark.parametrize(
    ("choice", "ids"),
    [
        (("--status", "delivered"), ["msg_c", "msg_a"]), (("--status", "failed"), ["msg_d", "msg_b"]),
        (("--status", "503"), ["msg_b"]), (("--status", "timeout"), []),
        (("--since", "1h"), ["msg_d", "msg_c", "msg_b", "msg_a"]),
        (("--since", "2100-01-01"), []), (("--since", "2000-01-01T00:00:00Z", "--limit", "1"), ["msg_d"]),
    ],
)  # fmt: skip
def test_attempts_are_chosen_by_status_and_time(
    redis_url: str, worker: OneWorker, receiver: Receiver, endpoint: Endpoint, hookfarm: Command,
    choice: tuple[str, ...], ids: list[str],
) -> None:  # fmt: skip
    receiver.reply_with(200, 503, 204, 404)
    deliver(worker, redis_url, endpoint, "msg_a", "msg_b", "msg_c", "msg_d")
    listed = json.loads(done(hookfarm("deliveries", "list", *choice, "--json")))
    assert [a["id"] for a in listed["attempts"]] == ids


def test_an_empty_list_says_where_else_to_look(hookfarm: Command) -> None:
    empty = hookfarm("deliveries", "list")
    assert (empty.returncode, len(empty.stdout.splitlines())) == (0, 1)
    assert "hookfarm status" in empty.stderr


def test_a_list_goes_on_behind_its_cursor(
    redis_url: str, worker: OneWorker, endpoint: Endpoint, hookfarm: Command
) -> None:
    deliver(worker, redis_url, endpoint, "msg_a", "msg_b", "msg_c")
    first = json.loads(done(hookfarm("deliveries", "list", "--limit", "2", "--json")))
    assert [a["id"] for a in first["attempts"]] == ["msg_c", "msg_b"]
    rest = json.loads(done(hookfarm("deliveries", "list", "--before", first["next_cursor"], "--json")))
    assert ([a["id"] for a in rest["attempts"]], rest["next_cursor"]) == (["msg_a"], None)
    beside = json.loads(done(hookfarm("deliveries", "list", "--before", first["attempts"][0]["cursor"], "--json")))
    assert [a["id"] for a in beside["attempts"]] == ["msg_b", "msg_a"]
    people = hookfarm("deliveries", "list", "--limit", "2")
    assert people.stderr == f"There may be more results: --before {first['next_cursor']}\n"
    assert "msg_a" not in people.stdout


def test_a_delivery_is_shown_with_every_attempt_and_its_payload(
    client: Any, redis_url: str, worker: OneWorker, receiver: Receiver, endpoint: Endpoint, hookfarm: Command
) -> None:
    body = b'{"type":"log.emitted","data":{"value":1.10,"big":123456789012345678901234567890}}'
    receiver.reply_with(Reply(500, body=b"oops \x1b[31mred"), Reply(200, body=b"thanks"))
    deliver(worker, redis_url, endpoint, "msg_a", body=body)
    waiting = done(hookfarm("deliveries", "show", "msg_a"))
    assert "state      retry\nnext       2" in waiting
    redelivery.redeliver(client, log.find(client, "msg_a"))
    attempt(worker)
    shown = done(hookfarm("deliveries", "show", "msg_a"))
    assert "\x1b" not in shown
    assert "state      delivered\ndelivered  2" in shown
    assert (
        shown.index("HTTP 500")
        < shown.index(r"oops \x1b[31mred")
        < shown.index("HTTP 200")
        < shown.index("thanks")
    )
    assert '"value": 1.10,\n      "big": 123456789012345678901234567890\n' in shown
    shown = done(hookfarm("deliveries", "show", "msg_a", "--json"))
    assert body.decode() in shown
    record = json.loads(shown)
    assert (record["id"], record["endpoint"], record["state"]) == ("msg_a", endpoint.id, "delivered")
    assert [a["status"] for a in record["attempts"]] == [500, 200]
    assert all(a["at"].endswith("Z") and a["duration_ms"] >= 0 for a in record["attempts"])


def test_a_delivery_is_sent_again_and_arrives_again_under_its_id(
    client: Any, redis_url: str, worker: OneWorker, receiver: Receiver, endpoint: Endpoint, hookfarm: Command
) -> None:
    receiver.reply_with(200, 503)
    deliver(worker, redis_url, endpoint, "msg_a", "msg_b")
    assert done(hookfarm("deliveries", "redeliver", "msg_a", "msg_b", "msg_a")) == "redelivered 2\n"
    attempt(worker, 2)
    assert [(r.id, r.attempt, r.signature_valid) for r in receiver.received[2:]] == [
        ("msg_a", 2, True), ("msg_b", 2, True),
    ]  # fmt: skip
    assert log.states(client, ["msg_a", "msg_b"]) == [DeliveryState.DELIVERED] * 2


def test_what_cannot_be_sent_again_is_named_and_the_rest_is_sent(
    client: Any, redis_url: str, worker: OneWorker, receiver: Receiver, endpoint: Endpoint, hookfarm: Command
) -> None:
    [letter] = dead_letter(client, b"nonsense")
    deliver(worker, redis_url, endpoint, "msg_a")
    enqueue(redis_url, job(endpoint, "msg_open"))
    finished = hookfarm("deliveries", "redeliver", UNKNOWN_ID, letter, "msg_open", "msg_a")
    assert (finished.returncode, finished.stdout) == (1, "redelivered 1\n")
    assert finished.stderr.splitlines() == [
        f"hookfarm: delivery {UNKNOWN_ID!r} not found; it may have been trimmed",
        f"hookfarm: {letter} is not a delivery: delivery_queue: not JSON",
        "hookfarm: msg_open is queued already",
    ]
    attempt(worker, 2)
    assert [r.id for r in receiver.received] == ["msg_a", "msg_open", "msg_a"]
    shown = hookfarm("deliveries", "redeliver", UNKNOWN_ID, "--json")
    assert shown.returncode == 1
    assert json.loads(shown.stdout) == {
        "sent": 0,
        "refused": {UNKNOWN_ID: f"delivery {UNKNOWN_ID!r} not found; it may have been trimmed"},
    }


@pytest.mark.parametrize(
    ("choice", "ids"),
    [
        ((), ["msg_a", "msg_b", "msg_c"]), (("--status", "failed"), ["msg_b", "msg_c"]),
        (("--status", "delivered"), ["msg_a"]), (("--status", "404"), ["msg_c"]), (("--since", "2100-01-01"), []),
    ],
)  # fmt: skip
def test_many_are_sent_again_the_oldest_first_without_what_was_delivered_since(
    client: Any, redis_url: str, worker: OneWorker, receiver: Receiver, endpoint: Endpoint, hookfarm: Command,
    choice: tuple[str, ...], ids: list[str],
) -> None:  # fmt: skip
    other = add_endpoint(client, receiver.url)
    receiver.reply_with(500, 503, 404, 503)
    deliver(worker, redis_url, endpoint, "msg_a", "msg_b", "msg_c")
    deliver(worker, redis_url, other, "msg_other")
    redelivery.redeliver(client, log.find(client, "msg_a"))
    attempt(worker)
    sent = len(receiver.received)
    finished = hookfarm("deliveries", "redeliver", "--endpoint", endpoint.id, *choice, "--yes")
    assert done(finished) == f"redelivered {len(ids)}\n"
    attempt(worker, len(ids))
    assert [r.id for r in receiver.received[sent:]] == ids


def test_many_are_sent_only_after_a_yes(
    redis_url: str, worker: OneWorker, receiver: Receiver, endpoint: Endpoint, hookfarm: Command
) -> None:
    deliver(worker, redis_url, endpoint, "msg_a")
    all_of_it = ("deliveries", "redeliver", "--endpoint", endpoint.id)
    unasked = refused(hookfarm(*all_of_it), 1)
    assert "1 delivery will be redelivered" in unasked
    assert "give --yes" in unasked
    no = hookfarm(*all_of_it, answer="n\n")
    assert (no.returncode, no.stdout) == (1, "")
    assert "1 delivery will be redelivered" in no.stderr
    yes = hookfarm(*all_of_it, answer="y\n")
    assert (yes.returncode, yes.stdout) == (0, "redelivered 1\n")
    attempt(worker)
    assert [r.attempt for r in receiver.received] == [1, 2]


def test_dead_letters_are_listed_and_chosen_and_garbage_too(
    client: Any, redis_url: str, worker: OneWorker, receiver: Receiver, endpoint: Endpoint, hookfarm: Command
) -> None:
    [letter] = dead_letter(client, b"\x1b[2J nonsense")
    receiver.reply_with(Reply(410, body=b"gone for good"))
    deliver(worker, redis_url, endpoint, "msg_a")
    listed = json.loads(done(hookfarm("dead-letters", "list", "--json")))
    assert [(found["id"], found["reason"]) for found in listed] == [
        ("msg_a", "endpoint_gone"), (letter, "delivery_queue: not JSON"),
    ]  # fmt: skip
    lines = done(hookfarm("dead-letters", "list")).splitlines()
    assert [line.split()[1:] for line in lines] == [
        ["id", "endpoint", "attempts", "last", "reason"],
        ["msg_a", endpoint.id, "1", "HTTP", "410", "endpoint_gone"],
        [letter, "(invalid)", "0", "-", "delivery_queue:", "not", "JSON"],
    ]
    for choice, wanted in (
        (("--endpoint", ""), letter), (("--reason", "delivery_queue"), letter),
        (("--endpoint", endpoint.id), "msg_a"),
    ):  # fmt: skip
        [found] = json.loads(done(hookfarm("dead-letters", "list", *choice, "--json")))
        assert found["id"] == wanted
    limited = hookfarm("dead-letters", "list", "--limit", "1")
    assert (len(limited.stdout.splitlines()), limited.stderr) == (
        2,
        f"More results: --before {listed[0]['cursor']}\n",
    )
    shown = done(hookfarm("deliveries", "show", letter))
    assert "\x1b" not in shown
    for words in ("nonsense", "delivery_queue: not JSON", "(invalid job)", "source     delivery_queue"):
        assert words in shown


def test_a_redriven_dead_letter_arrives_again_on_a_fresh_schedule(
    client: Any, redis_url: str, worker: OneWorker, receiver: Receiver, endpoint: Endpoint, hookfarm: Command
) -> None:
    receiver.reply_with(500, 500, 500, 500)
    deliver(worker, redis_url, endpoint, "msg_a")
    for _ in range(2):
        promote_now(client, "msg_a")
        attempt(worker)
    assert log.find(client, "msg_a").reason == "exhausted"
    assert done(hookfarm("dead-letters", "redrive", "msg_a")) == "redelivered 1\n"
    attempt(worker)
    assert [(r.id, r.attempt, r.signature_valid) for r in receiver.received] == [
        ("msg_a", n, True) for n in (1, 2, 3, 4)
    ]
    assert 3 < due_in_seconds(client, "msg_a") <= 6.1, "the first wait of the schedule"
    promote_now(client, "msg_a")
    attempt(worker)
    found = log.find(client, "msg_a")
    assert (found.state, [a["status"] for a in found.attempts]) == (DeliveryState.DELIVERED, [500] * 4 + [200])


def promote_now(client: Any, delivery: str) -> None:
    """Puts what waits for its retry into the list."""
    place(client, keys.RETRY, {delivery: 1})
    delivery_queue.tick(client)


def test_all_dead_letters_are_redriven_the_oldest_first_but_garbage(
    client: Any, redis_url: str, worker: OneWorker, receiver: Receiver, endpoint: Endpoint, hookfarm: Command
) -> None:
    ids = [f"msg_{number:03d}" for number in range(250)]
    other = add_endpoint(client, receiver.url)
    enqueue(redis_url, *(job(endpoint, delivery) for delivery in ids), job(other, "msg_other"))
    bury_everything_owed(client)
    [letter] = dead_letter(client, b"nonsense")
    chosen = done(hookfarm("dead-letters", "redrive", "--all", "--endpoint", endpoint.id, "--reason", "test"))
    assert chosen == "redelivered 250\n"
    attempt(worker, 250)
    assert [r.id for r in receiver.received] == ids
    rest = hookfarm("dead-letters", "redrive", "--all")
    assert (rest.returncode, rest.stdout) == (0, "redelivered 1\n")
    assert rest.stderr == f"hookfarm: {letter} is not a delivery: delivery_queue: not JSON\n"


def bury_everything_owed(client: Any) -> None:
    """What is queued or parked becomes dead letters, in order."""
    ids = [
        name
        for _, name in sorted((score, name) for name, score in client.zrange(keys.OPEN, 0, -1, withscores=True))
    ]
    for key in client.scan_iter(match=f"{keys.PARKED}*"):
        ids += client.zrange(key, 0, -1)
    for died_ms, job_id in enumerate(ids, 1000):
        stored = client.hget(keys.JOBS, job_id)
        client.hset(keys.JOBS, job_id, stored.replace(b'"attempt":1', b'"attempt":1,"reason":"test"'))
        place(client, keys.DEAD, {job_id: died_ms})
    pool = (keys.UNPROVEN, keys.POOL_WAITING)
    for pattern in (keys.OPEN, keys.DELIVERY_QUEUE, f"{keys.PARKED}*", f"{keys.WINDOW}*", *pool):
        for key in client.scan_iter(match=pattern):
            client.delete(key)


def test_what_is_no_dead_letter_is_neither_redriven_nor_purged(
    client: Any, redis_url: str, worker: OneWorker, endpoint: Endpoint, hookfarm: Command
) -> None:
    deliver(worker, redis_url, endpoint, "msg_a")
    [letter] = dead_letter(client, b"nonsense")
    redriven = hookfarm("dead-letters", "redrive", "msg_a", letter, UNKNOWN_ID)
    assert (redriven.returncode, redriven.stdout) == (1, "redelivered 0\n")
    assert redriven.stderr.splitlines() == [
        "hookfarm: msg_a is delivered",
        f"hookfarm: delivery {UNKNOWN_ID!r} not found; it may have been trimmed",
        f"hookfarm: {letter} is not a delivery: delivery_queue: not JSON",
    ]
    purged = hookfarm("dead-letters", "purge", "msg_a", letter, "--yes")
    assert (purged.returncode, purged.stdout) == (1, "purged 1\n")
    assert purged.stderr == "hookfarm: dead letter 'msg_a' not found\n"
    assert log.states(client, ["msg_a", letter]) == [DeliveryState.DELIVERED, None]


def test_dead_letters_are_purged_only_after_a_yes(client: Any, hookfarm: Command) -> None:
    letters = dead_letter(client, b"a", b"b", b"c")
    some = refused(hookfarm("dead-letters", "purge", *letters[:2]), 1)
    assert some == "hookfarm: 2 dead letters will be deleted permanently. Continue? Without a terminal, give --yes"
    assert "3 dead letters will be deleted" in refused(hookfarm("dead-letters", "purge", "--all"), 1)
    no = hookfarm("dead-letters", "purge", "--all", answer="n\n")
    assert (no.returncode, no.stdout, client.zcard(keys.DEAD)) == (1, "", 3)
    assert done(hookfarm("dead-letters", "purge", letters[0], "--yes")) == "purged 1\n"
    assert done(hookfarm("dead-letters", "purge", "--all", "--reason", "exhausted", "--yes")) == "purged 0\n"
    yes = hookfarm("dead-letters", "purge", "--all", "--endpoint", "", answer="y\n")
    assert (yes.returncode, yes.stdout, client.zcard(keys.DEAD)) == (0, "purged 2\n", 0)


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("deliveries", "list", "--before", "x"), "before"),
        (("deliveries", "list", "--since", "yesterday"), "--since"),
        (("deliveries", "list", "--since", "9999999999h"), "--since"),
        (("deliveries", "list", "--status", "deliverd"), "--status"),
        (("deliveries", "list", "--limit", "0"), "--limit"),
        (("deliveries", "list", "--endpoint", "\udcff"), "--endpoint"),
        (("deliveries", "show", "\udcff"), "id"),
        (("deliveries", "redeliver"), "id"),
        (("deliveries", "redeliver", "msg_a", "--endpoint", "ep_a"), "id"),
        (("deliveries", "redeliver", "msg_a", "--status", "failed"), "id"),
        (("dead-letters", "list", "--reason", "\udcff"), "--reason"),
        (("dead-letters", "redrive"), "id"),
        (("dead-letters", "redrive", "msg_a", "--all"), "id"),
        (("dead-letters", "purge", "msg_a", "--reason", "exhausted"), "id"),
    ],
)
def test_bad_input_is_usage_and_names_its_field(hookfarm: Command, arguments: tuple[str, ...], field: str) -> None:
    assert refused(hookfarm(*arguments), 2).startswith(f"hookfarm: {field}: ")


def test_a_delivery_that_is_not_there_is_named(hookfarm: Command) -> None:
    line = refused(hookfarm("deliveries", "show", UNKNOWN_ID), 1)
    assert line == f"hookfarm: delivery {UNKNOWN_ID!r} not found; it may have been trimmed"


def test_a_redis_that_is_not_there_is_named(hookfarm: Command) -> None:
    nowhere = "redis://user:hunter2@127.0.0.1:1/0"
    for command in (("deliveries", "list"), ("dead-letters", "list")):
        line = refused(hookfarm(*command, "--redis-url", nowhere), 1)
        assert "redis://127.0.0.1:1/0" in line
        assert "hunter2" not in line
