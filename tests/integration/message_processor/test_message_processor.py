"""The processor as a process of its own, between a real stream and a real queue."""

import signal
from typing import Any

import orjson
import redis

from hookfarm.farm.scoreboard import State
from hookfarm.message_processor import telemetry
from hookfarm.records import Subscription
from hookfarm.registry.store import Registry
from hookfarm.store import keys
from tests.support.processors import (
    Processors,
    endpoint,
    pending,
    publish,
    queued,
    transfer,
)
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually


def held_by(client: redis.Redis, consumer: str) -> int:
    found = client.xpending(keys.events(1), keys.PROCESSOR_GROUP)["consumers"]
    return sum(int(each["pending"]) for each in found if each["name"] == consumer.encode())


def owed(client: redis.Redis) -> list[tuple[int, str]]:
    """(block number, endpoint) of every job in the list."""
    return sorted((job["payload"]["data"]["block_number"], job["endpoint"]) for job in queued(client))


def every(numbers: range, *endpoints: str) -> list[tuple[int, str]]:
    return sorted((number, f"ep_{each}") for number in numbers for each in endpoints)


def dead_letters(client: redis.Redis) -> list[dict[str, Any]]:
    found: Any = client.zrange(keys.DEAD, 0, -1)
    return [orjson.loads(client.hget(keys.JOBS, job_id) or b"null") for job_id in found]


def test_a_transfer_becomes_a_signed_contract_payload_in_the_queue(
    client: redis.Redis, processors: Processors
) -> None:
    Registry(client).add(endpoint("a"))
    processors.start_and_wait(chains=(1,))
    publish(client, 7)
    [job] = eventually(lambda: queued(client), what="the job")
    assert job["endpoint"] == "ep_a"
    assert job["id"].startswith("msg_")
    assert job["payload"]["type"] == "log.emitted"
    assert job["payload"]["timestamp"] == "2026-11-22T18:00:00Z"
    arguments = {"from": "0x" + "11" * 20, "to": "0x" + "22" * 20, "value": 7}
    assert job["payload"]["data"] == {
        **transfer(7),
        "event": {"name": "Transfer", "args": arguments},
        "confirmations": 0,
        "subscription": "sub_a",
    }


def test_consumer_group_acknowledgment(client: redis.Redis, processors: Processors) -> None:
    Registry(client).add(endpoint("a"))
    processors.start_and_wait(chains=(1,))
    publish(client, *range(50))
    eventually(lambda: len(queued(client)) == 50, what="all jobs")
    [group] = client.xinfo_groups(keys.events(1))
    assert group["name"] == keys.PROCESSOR_GROUP.encode()
    assert (group["pending"], client.xlen(keys.events(1))) == (0, 0)
    processors.expect(telemetry.EVENTS_READ, 50)
    processors.expect(telemetry.EVENTS_MATCHED, 50)
    processors.expect(telemetry.JOBS_ENQUEUED, 50)


def test_up_means_that_redis_has_it_blocked_in_xreadgroup(client: redis.Redis, processors: Processors) -> None:
    processors.start_and_wait(chains=(1, 2))
    blocked = [c for c in client.client_list() if c["cmd"] == "xreadgroup" and "b" in c["flags"]]
    assert len(blocked) == 1
    assert all(client.xinfo_groups(keys.events(chain)) for chain in (1, 2))


def test_events_published_before_it_started_are_matched(client: redis.Redis, processors: Processors) -> None:
    Registry(client).add(endpoint("a"))
    publish(client, *range(1200))
    processors.start_and_wait(chains=(1,))
    eventually(lambda: owed(client) == every(range(1200), "a"), what="all jobs")


def test_an_endpoint_added_while_it_runs_gets_the_very_next_event(
    client: redis.Redis, processors: Processors
) -> None:
    processors.start_and_wait(chains=(1,))
    for number in range(20):
        Registry(client).add(endpoint(str(number)))
        publish(client, number)
    expected = {(number, f"ep_{each}") for number in range(20) for each in range(number + 1)}
    eventually(lambda: expected <= set(owed(client)), what="the jobs of each endpoint's own event and later ones")
    assert len(owed(client)) == len(set(owed(client)))
    assert processors.counter(telemetry.REGISTRY_REVISION) == int(client.get(keys.REGISTRY_REVISION) or 0)


def test_a_changed_a_disabled_and_a_removed_endpoint_count_from_the_next_event(
    client: redis.Redis, processors: Processors
) -> None:
    registry = Registry(client)
    for each in ("changed", "disabled", "removed", "kept"):
        registry.add(endpoint(each))
    processors.start_and_wait(chains=(1,))
    publish(client, 1)
    elsewhere = Subscription("sub_1", 1, addresses=("0x" + "ff" * 20,))
    registry.update(endpoint("changed", elsewhere))
    registry.disable("ep_disabled", "a test")
    registry.remove("ep_removed")
    publish(client, 2)
    eventually(lambda: (2, "ep_kept") in owed(client), what="the second event's jobs")
    assert [found for found in owed(client) if found[0] == 2] == [(2, "ep_kept")]


def test_a_chain_that_only_a_subscription_names_is_read_as_soon_as_it_is_named(
    client: redis.Redis, processors: Processors
) -> None:
    processors.start_and_wait(chains=())
    publish(client, 5, chain_id=77)
    Registry(client).add(endpoint("a", Subscription("sub_1", 77)))
    eventually(lambda: owed(client) == [(5, "ep_a")], what="the job")
    Registry(client).add(endpoint("b", Subscription("sub_2", 88)))
    publish(client, 6, chain_id=88)
    eventually(lambda: owed(client) == [(5, "ep_a"), (6, "ep_b")], what="the job of the second chain")


def test_asked_to_stop_it_enqueues_also_what_redis_has_read_ahead(
    client: redis.Redis, processors: Processors
) -> None:
    Registry(client).add(endpoint("a", Subscription("sub_1", 1, addresses=("0x" + "ff" * 20,))))
    entry = orjson.dumps(transfer(1))
    with client.pipeline(transaction=False) as pipe:
        for _ in range(20_000):
            pipe.xadd(keys.events(1), {"event": entry})
        pipe.execute()
    processors.start(chains=(1,))
    eventually(lambda: processors.counter(telemetry.EVENTS_READ), what="entries having been read")
    assert processors.end(0, signal.SIGTERM) == 0
    assert pending(client) == 0


def test_a_successor_of_the_same_name_takes_over_at_once(client: redis.Redis, processors: Processors) -> None:
    Registry(client).add(endpoint("a"))
    processors.start_and_wait(0, chains=(1,), consumer="first")
    processors.signal(0, signal.SIGSTOP)
    publish(client, *range(3))
    eventually(lambda: held_by(client, "first") >= 1, what="entries in the stopped processor's hands")
    processors.end(0, signal.SIGKILL)
    left = held_by(client, "first")
    processors.start_and_wait(1, chains=(1,), consumer="first")
    assert len(queued(client)) >= left
    eventually(lambda: owed(client) == every(range(3), "a"), what="all jobs")
    assert pending(client) == 0
    assert processors.counter(telemetry.RECLAIMED) >= 1


def test_service_recovery_with_consumer_groups(client: redis.Redis, processors: Processors) -> None:
    """Two compete; the one that holds entries is killed, and the other delivers everything exactly once."""
    for each in ("a", "b", "c"):
        Registry(client).add(endpoint(each))
    processors.start_and_wait(0, chains=(1,))
    processors.signal(0, signal.SIGSTOP)
    publish(client, *range(10))
    eventually(lambda: held_by(client, "consumer-0") >= 1, what="entries in the stopped processor's hands")
    processors.start_and_wait(1, chains=(1,))
    publish(client, *range(10, 200))
    processors.end(0, signal.SIGKILL)
    eventually(lambda: len(queued(client)) >= 600, what="all jobs")
    assert owed(client) == every(range(200), "a", "b", "c")
    assert (pending(client), client.xlen(keys.events(1))) == (0, 0)


def test_a_processor_that_wakes_after_its_entries_were_claimed_adds_nothing(
    client: redis.Redis, processors: Processors
) -> None:
    Registry(client).add(endpoint("a"))
    processors.start_and_wait(0, chains=(1,))
    processors.signal(0, signal.SIGSTOP)
    publish(client, *range(10))
    eventually(lambda: held_by(client, "consumer-0") >= 1, what="entries in the stopped processor's hands")
    processors.start_and_wait(1, chains=(1,))
    eventually(lambda: len(queued(client)) >= 10, what="all jobs")
    before = processors.counter(telemetry.EVENTS_READ)
    processors.signal(0, signal.SIGCONT)
    eventually(lambda: processors.counter(telemetry.EVENTS_READ) > before, what="the late processor's hand-off")
    assert owed(client) == every(range(10), "a")
    processors.expect(telemetry.JOBS_ENQUEUED, 10)


def test_processors_killed_again_and_again_enqueue_every_job_exactly_once(
    client: redis.Redis, processors: Processors
) -> None:
    for each in ("a", "b"):
        Registry(client).add(endpoint(each))
    processors.start_and_wait(0, chains=(1,))
    for round_number in range(8):
        first = round_number * 300
        processors.start(1, chains=(1,))
        publish(client, *range(first, first + 300))
        processors.end(round_number % 2, signal.SIGKILL)
        processors.end((round_number + 1) % 2, signal.SIGKILL)
        processors.start(0, chains=(1,))
    eventually(lambda: len(queued(client)) >= 4800, within=20, what="all jobs")
    eventually(lambda: pending(client) == 0, what="nothing pending")
    assert owed(client) == every(range(2400), "a", "b")


def test_garbage_goes_to_the_dead_letters_with_its_reason_and_the_rest_is_delivered(
    client: redis.Redis, processors: Processors
) -> None:
    Registry(client).add(endpoint("a"))
    stream = keys.events(1)
    publish(client, 1)
    client.xadd(stream, {"event": b"\xff\xfe\x00"})
    client.xadd(stream, {"event": b'{"chain_id":1}'})
    client.xadd(stream, {"event": orjson.dumps(transfer(3, chain_id=2))})
    client.xadd(stream, {"other": "field"})
    client.xadd(stream, {"event": b"[" * 100_000})
    client.xadd(stream, {"event": b"x" * 5_000_000})
    publish(client, 2)
    processors.start_and_wait(chains=(1,))
    eventually(lambda: len(queued(client)) == 2, what="the valid events' jobs")
    assert owed(client) == every(range(1, 3), "a")
    reasons = sorted(letter["reason"] for letter in dead_letters(client))
    assert len(reasons) == 6
    assert sum("not JSON" in reason for reason in reasons) == 2
    assert sum("missing in the entry" in reason for reason in reasons) == 1
    assert sum("the stream's chain 1" in reason for reason in reasons) == 1
    assert sum("bytes; at most" in reason for reason in reasons) == 1
    assert (pending(client), client.xlen(stream)) == (0, 0)
    processors.expect(telemetry.REJECTED, 6)


def test_it_says_that_redis_is_gone_and_goes_on_when_it_is_back(
    redis_server: RedisServer, client: redis.Redis, processors: Processors
) -> None:
    Registry(client).add(endpoint("a"))
    processors.start_and_wait(chains=(1,))
    client.wait(0, 0)
    redis_server.kill(synced=True)
    eventually(lambda: processors.state() == State.STALLED, what="the processor being stalled")
    assert processors.reason().startswith("Redis: ")
    redis_server.start()
    eventually(lambda: processors.state() == State.UP, what="the processor being up again")
    assert processors.reason() == ""
    with redis_server.client() as again:
        Registry(again).add(endpoint("b"))
        publish(again, 1)
        eventually(lambda: (1, "ep_b") in owed(again), what="the job")


def test_a_flushed_server_gets_its_groups_again(client: redis.Redis, processors: Processors) -> None:
    Registry(client).add(endpoint("a"))
    processors.start_and_wait(chains=(1,))
    client.flushall()
    Registry(client).add(endpoint("b"))
    publish(client, 1)
    eventually(lambda: owed(client) == [(1, "ep_b")], what="the job of the only endpoint there is now")


def test_the_heartbeat_is_kept_while_there_is_nothing_to_do(client: redis.Redis, processors: Processors) -> None:
    processors.start_and_wait(chains=(1,))
    [slot, *_] = processors.scoreboard.slots(keys.MESSAGE_PROCESSOR)
    for _ in range(3):
        fresh = slot.seconds_late()
        assert fresh < 0
        eventually(lambda: slot.seconds_late() > fresh + 0.1, what="time going by")  # noqa: B023
        eventually(lambda: slot.seconds_late() < fresh + 0.1, what="the next heartbeat")  # noqa: B023


def test_sigterm_enqueues_what_was_read_and_ends_with_zero(client: redis.Redis, processors: Processors) -> None:
    Registry(client).add(endpoint("a"))
    processors.start_and_wait(chains=(1,))
    publish(client, *range(1000))
    assert processors.end(0, signal.SIGTERM) == 0
    assert pending(client) == 0
    assert len(queued(client)) + client.xlen(keys.events(1)) == 1000


def test_a_subscription_that_cannot_be_matched_does_not_stop_the_others(
    client: redis.Redis, processors: Processors
) -> None:
    wrong = Subscription("sub_wrong", 1, event="Transfer(")
    Registry(client).add(endpoint("a", wrong, Subscription("sub_right", 1)))
    processors.start_and_wait(chains=(1,))
    publish(client, 1)
    [job] = eventually(lambda: queued(client), what="the job")
    assert job["payload"]["data"]["subscription"] == "sub_right"
