"""Hop 2 against a real server: every script, and the invariant behind each move."""

import json
import time
from typing import Any

import orjson
import pytest
import redis

from hookfarm import delivery_queue
from hookfarm.delivery_queue import EntryResult, HealthSignal, InvalidEntry, Settlement
from hookfarm.delivery_queue.job import ClaimedJob, ForeignElement, Job
from hookfarm.event_stream import StreamEntry, StreamReader
from hookfarm.store import keys
from hookfarm.store.clients import PipelinedConnection, pack
from tests.support.delivery import (
    CHAIN_ID,
    dead_letters,
    delivered,
    due_in_seconds,
    enqueue,
    job,
    kept,
    undelivered,
)
from tests.support.ledger import assert_ledger_invariant, place
from tests.support.queue import adopt, pop, settle, settle_all, take
from tests.support.redis_server import running_redis

HUGE = 2**256 - 1


def read(connection: PipelinedConnection, client: Any, count: int, chain_id: int = CHAIN_ID) -> list[StreamEntry]:
    """So many new entries, read by the group and pending."""
    reader = StreamReader(connection, "test")
    reader.follow([chain_id])
    for number in range(count):
        client.xadd(keys.events(chain_id), {"event": b"%d" % number})
    reader.send_read()
    entries, _ = reader.receive()
    assert len(entries) == count
    return entries


def pending(client: Any, chain_id: int = CHAIN_ID) -> int:
    return int(client.xpending(keys.events(chain_id), keys.PROCESSOR_GROUP)["pending"])


def queued(client: Any) -> list[dict[str, Any]]:
    """The elements of the list, the next to be popped first."""
    return [orjson.loads(raw) for raw in reversed(client.lrange(keys.DELIVERY_QUEUE, 0, -1))]


def failed(claimed: ClaimedJob, job: bytes, retry_in_seconds: float | None) -> Settlement:
    """A failure that does not count against the endpoint: these tests are not about windows."""
    return delivery_queue.failed(claimed, job, retry_in_seconds, HealthSignal.UNKNOWN)


def push_back_the_clock(client: Any) -> int:
    """As if the server's clock had been an hour ahead when the last sequence was given out."""
    last = int(time.time() * 1e6) + 3_600_000_000
    client.set(keys.SEQUENCE, last)
    return last


def test_jobs_are_queued_in_order_under_growing_sequences(client: Any, redis_url: str) -> None:
    assert enqueue(redis_url, job("ep_1", "a"), job("ep_1", "b")) == 2
    assert enqueue(redis_url, job("ep_2", "c")) == 1
    found = queued(client)
    assert [element["id"] for element in found] == ["a", "b", "c"]
    sequences = [element["seq"] for element in found]
    assert sequences == sorted(set(sequences))
    assert int(client.get(keys.SEQUENCE)) == sequences[-1]
    assert abs(sequences[0] / 1e6 - time.time()) < 60


def test_sequences_go_on_when_the_clock_goes_back(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    last = push_back_the_clock(client)
    enqueue(redis_url, job("ep_1", "a"), job("ep_1", "b"))
    assert [element["seq"] for element in queued(client)] == [last + 1, last + 2]
    claimed = pop(connection)
    settle(connection, delivery_queue.returned(claimed))
    assert [(e["id"], e["seq"]) for e in queued(client)] == [("b", last + 2), ("a", last + 3)]
    claimed = pop(connection)
    settle(connection, failed(claimed, claimed.with_outcome({}, attempt=2), 0.0))
    assert delivery_queue.tick(client) == 1
    adopted = adopt(connection, ForeignElement(b'{"endpoint":"ep_1","payload":{}}'))
    assert adopted is not None
    assert [(e["id"], e["seq"]) for e in queued(client)] == [("a", last + 3), ("b", last + 4)]
    assert adopted.sequence == last + 5
    assert int(client.get(keys.SEQUENCE)) == last + 5


def test_numbers_are_never_written_in_exponential_form(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    push_back_the_clock(client)
    enqueue(redis_url, *(job("ep_1") for _ in range(4)))
    for move in (delivery_queue.returned, lambda t: failed(t, t.with_outcome({}), 0.0)):
        settle(connection, move(pop(connection)))
    delivery_queue.tick(client)
    claimed = pop(connection)
    settle(connection, failed(claimed, claimed.with_outcome({}), 86_400.0))
    stored = [*client.lrange(keys.DELIVERY_QUEUE, 0, -1), client.get(keys.SEQUENCE), *client.hvals(keys.JOBS)]
    assert stored
    assert not [raw for raw in stored if b"e+" in raw]
    assert due_in_seconds(client, claimed.id) == pytest.approx(86_400, abs=60)


def test_an_entry_is_handed_off_once(client: Any, connection: PipelinedConnection) -> None:
    [entry] = read(connection, client, 1)
    handled = [EntryResult(entry, (job("ep_1", "a"),))]
    assert delivery_queue.enqueue_results(connection, handled).enqueued == 1
    assert delivery_queue.enqueue_results(connection, handled).enqueued == 0
    assert delivery_queue.enqueue_results(connection, [EntryResult(entry, (job("ep_1", "other"),))]).enqueued == 0
    assert [e["id"] for e in queued(client)] == ["a"]
    assert pending(client) == 0
    assert client.xlen(keys.events(CHAIN_ID)) == 0


def test_an_entry_that_another_consumer_acknowledged_adds_nothing(
    client: Any, connection: PipelinedConnection
) -> None:
    first, second = read(connection, client, 2)
    client.xack(keys.events(CHAIN_ID), keys.PROCESSOR_GROUP, first.entry_id)
    assert (
        delivery_queue.enqueue_results(
            connection, [EntryResult(e, (job("ep_1"), job("ep_2"))) for e in (first, second)]
        ).enqueued
        == 2
    )
    assert len(queued(client)) == 2


def test_a_job_that_is_owed_already_is_not_enqueued_again(client: Any, connection: PipelinedConnection) -> None:
    first, second = read(connection, client, 2)
    same = job("ep_1", "same", b'{"first":1}')
    assert delivery_queue.enqueue_results(connection, [EntryResult(first, (same,))]).enqueued == 1
    again = [EntryResult(second, (Job("same", "ep_1", b'{"second":1}'), job("ep_1", "new")))]
    assert delivery_queue.enqueue_results(connection, again).enqueued == 1
    assert [e["id"] for e in queued(client)] == ["same", "new"]
    assert kept(client, "same")["payload"] == {"first": 1}


def test_entries_that_became_nothing_are_acknowledged(client: Any, connection: PipelinedConnection) -> None:
    entries = read(connection, client, 300)
    handled = [EntryResult(e, (job("ep_1", f"m{i}"),) if i % 100 == 50 else ()) for i, e in enumerate(entries)]
    assert delivery_queue.enqueue_results(connection, handled).enqueued == 3
    assert [e["id"] for e in queued(client)] == ["m50", "m150", "m250"]
    assert (pending(client), client.xlen(keys.events(CHAIN_ID))) == (0, 0)


def test_two_chains_are_handed_off_together(client: Any, connection: PipelinedConnection) -> None:
    one, other = read(connection, client, 2, chain_id=1), read(connection, client, 2, chain_id=2**63)
    handled = [EntryResult(e, (job("ep_1"),)) for e in (one[0], other[0])] + [
        EntryResult(one[1]),
        EntryResult(other[1]),
    ]
    assert delivery_queue.enqueue_results(connection, handled).enqueued == 2
    assert (pending(client, 1), pending(client, 2**63)) == (0, 0)
    assert len(queued(client)) == 2


def test_an_event_for_many_endpoints_is_one_move(client: Any, connection: PipelinedConnection) -> None:
    [entry] = read(connection, client, 1)
    assert (
        delivery_queue.enqueue_results(
            connection, [EntryResult(entry, tuple(job("ep_1") for _ in range(10_000)))]
        ).enqueued
        == 10_000
    )
    assert delivery_queue.read_depths(client) == delivery_queue.Depths(100, 100, 9_900, 0, 0)


def test_a_rejected_entry_is_a_dead_letter_with_its_reason(client: Any, connection: PipelinedConnection) -> None:
    first, second = read(connection, client, 2)
    handled = [
        EntryResult(first, invalid=InvalidEntry(b"\xff\xfe" + b"x" * 9000, "not JSON")),
        EntryResult(second, (job("ep_1"),), InvalidEntry(b"{}", "odd")),
    ]
    assert delivery_queue.enqueue_results(connection, handled).enqueued == 1
    letters = dead_letters(client)
    assert {letter["reason"] for letter in letters.values()} == {"not JSON", "odd"}
    [letter] = [found for found in letters.values() if found["reason"] == "not JSON"]
    assert letter["source"] == f"events:{CHAIN_ID} {first.entry_id.decode()}"
    assert letter["raw"].startswith("\\xff\\xfex")
    assert len(letter["raw"]) < 5000
    assert pending(client) == 0


def test_handing_off_nothing_is_nothing(connection: PipelinedConnection) -> None:
    assert delivery_queue.enqueue_results(connection, []).enqueued == 0


def test_a_delivered_job_is_owed_no_longer_and_may_be_settled_twice(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    enqueue(redis_url, job("ep_1", "a"), job("ep_1", "b"))
    claimed = pop(connection)
    for _ in range(2):
        settle(connection, delivered(claimed))
    assert client.hkeys(keys.DELIVERED) == [b"a"]
    assert undelivered(client) == 1


def test_a_job_delivered_after_all_does_not_wait_for_its_retry(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    enqueue(redis_url, job("ep_1", "a"))
    claimed = pop(connection)
    settle(connection, failed(claimed, claimed.with_outcome({}, attempt=2), 60.0))
    settle(connection, delivered("a"))
    assert delivery_queue.read_depths(client) == delivery_queue.Depths(0, 0, 0, 0, 0)


def test_a_failed_job_waits_for_its_time_with_what_happened(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    enqueue(redis_url, job("ep_1", "a", b'{"n":%d}' % HUGE))
    claimed = pop(connection)
    settle(connection, failed(claimed, claimed.with_outcome({"status": 500}, attempt=2), 30.0))
    assert kept(client, "a")["attempt"] == 2
    assert kept(client, "a")["outcomes"] == [{"status": 500}]
    assert due_in_seconds(client, "a") == pytest.approx(30, abs=5)
    assert delivery_queue.tick(client) == 0
    place(client, keys.RETRY, {"a": 1})
    assert delivery_queue.tick(client) == 1
    again = pop(connection)
    assert (again.attempt, again.body) == (2, b'{"n":%d}' % HUGE)
    assert again.sequence > claimed.sequence


def test_a_job_that_failed_for_good_is_dead_with_its_reason(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    enqueue(redis_url, job("ep_1", "a"))
    claimed = pop(connection)
    dead = failed(claimed, claimed.with_outcome({"status": 500}, reason="exhausted"), None)
    settle(connection, dead)
    assert dead_letters(client)["a"]["reason"] == "exhausted"
    assert client.zscore(keys.DEAD, "a") / 1000 == pytest.approx(time.time(), abs=5)


def test_a_job_given_back_is_queued_behind_the_others_unattempted(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    enqueue(redis_url, job("ep_1", "a", b'{"n":%d}' % HUGE), job("ep_1", "b"))
    claimed = pop(connection)
    settle(connection, delivery_queue.returned(claimed))
    assert [e["id"] for e in queued(client)] == ["b", "a"]
    assert pop(connection).id == "b"
    again = pop(connection)
    assert (again.attempt, again.body) == (1, claimed.body)


@pytest.mark.parametrize(
    "stale",
    [
        lambda t: failed(t, t.with_outcome({}, attempt=9), 60.0),
        lambda t: failed(t, t.with_outcome({}), None),
        delivery_queue.returned,
    ],
)
def test_who_holds_a_job_under_an_old_sequence_changes_nothing(
    client: Any, redis_url: str, connection: PipelinedConnection, stale: Any
) -> None:  # fmt: skip
    enqueue(redis_url, job("ep_1", "a"))
    claimed = pop(connection)
    settle(connection, delivery_queue.returned(claimed))
    before = (client.lrange(keys.DELIVERY_QUEUE, 0, -1), client.hgetall(keys.JOBS), client.get(keys.SEQUENCE))
    settle(connection, stale(claimed))
    assert (
        client.lrange(keys.DELIVERY_QUEUE, 0, -1),
        client.hgetall(keys.JOBS),
        client.get(keys.SEQUENCE),
    ) == before
    settle(connection, delivered("a"))
    for _ in range(2):
        settle(connection, stale(claimed))
    assert not undelivered(client)


def test_due_retries_are_promoted_in_the_order_of_their_times(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    enqueue(redis_url, *(job("ep_1", name) for name in "abcd"))
    for _ in range(4):
        claimed = pop(connection)
        settle(connection, failed(claimed, claimed.with_outcome({}, attempt=2), 3600.0))
    place(client, keys.RETRY, {"c": 10, "a": 20, "b": 30})
    assert delivery_queue.tick(client, max_jobs=2) == 2
    assert delivery_queue.tick(client) == 1
    assert delivery_queue.tick(client) == 0
    assert [e["id"] for e in queued(client)] == ["c", "a", "b"]
    assert client.zrange(keys.RETRY, 0, -1) == [b"d"]


def test_every_script_is_taught_again_after_a_flush(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    for move in (delivery_queue.returned, lambda t: failed(t, t.with_outcome({}), 0.0)):
        client.script_flush()
        enqueue(redis_url, job("ep_1"))
        claimed = pop(connection)
        client.script_flush()
        settle(connection, move(claimed))
    client.script_flush()
    assert delivery_queue.tick(client) == 1
    client.script_flush()
    assert adopt(connection, ForeignElement(b'{"endpoint":"ep_1","payload":{}}'))
    client.script_flush()
    assert adopt(connection, ForeignElement(b"garbage")) is None
    assert delivery_queue.read_depths(client) == delivery_queue.Depths(2, 3, 0, 0, 1)


def test_a_batch_is_settled_in_one_call_and_each_job_has_its_own_result(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    enqueue(redis_url, *(job(f"ep_{n % 2}", f"m{n}") for n in range(6)))
    held = [pop(connection) for _ in range(6)]
    settle(connection, delivery_queue.returned(held[4]))
    settlements = [
        delivered(held[0]),
        failed(held[1], held[1].with_outcome({}, attempt=2), 60.0),
        failed(held[2], held[2].with_outcome({}, reason="x"), None),
        delivered(held[3]),
        delivery_queue.returned(held[4]),
        delivery_queue.parked(held[5]),
    ]
    assert settle_all(connection, *settlements) == ["settled"] * 4 + ["stale", "settled"]
    assert delivery_queue.read_depths(client) == delivery_queue.Depths(queued=2, open=2, parked=0, retry=1, dead=1)
    assert sorted(client.hkeys(keys.DELIVERED)) == [b"m0", b"m3"]


@pytest.mark.parametrize("key", [keys.WINDOW, keys.PARKED])
@pytest.mark.parametrize("damage", ["type", "garbage"])
def test_a_damaged_key_of_one_endpoint_fails_no_job_of_another(
    client: Any, redis_url: str, connection: PipelinedConnection, key: str, damage: str
) -> None:
    enqueue(redis_url, *(job(name, name + str(n)) for name in ("ep_bad", "ep_good") for n in range(2)))
    held = [pop(connection) for _ in range(4)]
    before = client.hgetall(keys.WINDOW + "ep_bad")
    client.delete(key + "ep_bad")
    if damage == "type":
        client.set(key + "ep_bad", "x")
    else:
        client.hset(keys.WINDOW + "ep_bad", mapping={"open": "many", "limit": "\xff", "latency_ms": "-"})
    results = settle_all(connection, *map(delivered, held))
    assert results[2:] == ["settled", "settled"]
    if damage == "type":
        assert all(result.startswith("error ") and "WRONGTYPE" in result for result in results[:2])
        assert client.zcard(keys.OPEN) == 2, "they are as they were"
        client.delete(key + "ep_bad")
        client.hset(keys.WINDOW + "ep_bad", mapping=before)
        assert settle_all(connection, *map(delivered, held)) == ["settled"] * 4
    delivery_queue.repair_pool(client)
    assert delivery_queue.repair_pool(client) == 0
    assert delivery_queue.read_depths(client).undelivered == 0


def test_draining_works_on_a_full_server() -> None:
    """Whatever frees more than it takes is not refused; what fills is."""
    with running_redis() as server, server.client() as client:
        connection = PipelinedConnection(server.url, delivery_queue.BLOCK_SECONDS)
        entries = read(connection, client, 1)
        enqueue(server.url, *(job(f"ep_{name}", name) for name in "abcde"))
        client.lpush(keys.DELIVERY_QUEUE, '{"endpoint":"ep_1","payload":{},"id":"foreign"}', "garbage")
        claimed = [pop(connection) for _ in range(5)]
        foreign = []
        for _ in range(2):
            element = take(connection)
            assert isinstance(element, ForeignElement)
            foreign.append(element)
        client.config_set("maxmemory", 1)
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            client.set("anything", 1)
        settle(connection, delivered(claimed[0]))
        settle(connection, delivery_queue.returned(claimed[1]))
        settle(connection, failed(claimed[2], claimed[2].with_outcome({}, attempt=2), 0.0))
        settle(connection, failed(claimed[3], claimed[3].with_outcome({}, reason="x"), None))
        assert delivery_queue.tick(client) == 1
        assert delivery_queue.requeue_orphan(client, claimed[4].id, claimed[4].sequence)
        assert [adopt(connection, f) is not None for f in foreign] == [True, False]
        assert (
            delivery_queue.enqueue_results(
                connection, [EntryResult(e, (job("ep_1", "f"),)) for e in entries]
            ).enqueued
            == 1
        )
        assert delivery_queue.read_depths(client) == delivery_queue.Depths(4, 5, 0, 0, 2)
        connection.close()
        assert_ledger_invariant(client)


def test_a_wrongly_typed_list_is_an_error_that_says_so(client: Any, connection: PipelinedConnection) -> None:
    client.set(keys.DELIVERY_QUEUE, "x")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        take(connection)
    client.delete(keys.DELIVERY_QUEUE)
    assert connection.execute(("PING",)) == [b"PONG"]


def test_an_error_reply_leaves_the_other_replies_in_their_places(connection: PipelinedConnection) -> None:
    first, error, last = connection.execute(("ECHO", "a"), ("NONSENSE",), ("ECHO", "b"))
    assert (first, last) == (b"a", b"b")
    assert isinstance(error, redis.ResponseError)
    assert connection.connected


def test_depths_count_every_place(client: Any, redis_url: str, connection: PipelinedConnection) -> None:
    enqueue(redis_url, *(job(f"ep_{i}") for i in range(5)))
    pop(connection)
    retried, dead = pop(connection), pop(connection)
    settle(connection, failed(retried, retried.with_outcome({}), 60.0))
    settle(connection, failed(dead, dead.with_outcome({}), None))
    assert delivery_queue.read_depths(client) == delivery_queue.Depths(queued=2, open=3, parked=0, retry=1, dead=1)


def test_packed_commands_carry_any_bytes(connection: PipelinedConnection) -> None:
    raw = bytes(range(256)) + "ü".encode()
    connection.send(pack(("ECHO", raw)))
    assert connection.receive() == raw
    assert json.dumps(HUGE)
