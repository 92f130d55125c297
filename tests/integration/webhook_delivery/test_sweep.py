"""The sweep against a real queue: orphans are found, held jobs are left alone."""

import os
import time
from collections.abc import Sequence
from typing import Any

import pytest

from hookfarm import delivery_queue
from hookfarm.delivery_queue import MAX_ORPHANED, Depths, FarmLimits
from hookfarm.delivery_queue.job import ClaimedJob
from hookfarm.farm.scoreboard import Scoreboard, Slot, State
from hookfarm.store import keys
from hookfarm.store.clients import PipelinedConnection
from hookfarm.webhook_delivery import telemetry
from hookfarm.webhook_delivery.sweep import Sweep
from tests.support.delivery import dead_letters, delivered, enqueue, job, kept, one_worker, prove
from tests.support.queue import pop, settle

LIMITS = FarmLimits(16, 1000)


@pytest.fixture
def slot() -> Slot:
    """A live worker's, which has just begun to poll."""
    [made] = Scoreboard({keys.WEBHOOK_DELIVERY: 1}).slots(keys.WEBHOOK_DELIVERY)
    made.on_forked(os.getpid())
    made.state = State.UP
    polls(made)
    return made


def polls(slot: Slot) -> None:
    slot.activity = telemetry.POLLING
    slot.set_counter(telemetry.POLLED_NS, time.monotonic_ns())


def pop_and_crash(redis_url: str) -> ClaimedJob:
    """Claim a job as a worker that is killed just then."""
    connection = PipelinedConnection(redis_url, delivery_queue.BLOCK_SECONDS)
    claimed = pop(connection)
    connection.close()
    return claimed


def rounds(sweep: Sweep, client: Any, slot: Slot, times: int = 1) -> None:
    """So many rounds: a suspect is seen twice, the worker sends another BRPOP, and the orphan is found."""
    for _ in range(times):
        sweep.perform(client)
        sweep.perform(client)
        polls(slot)
        sweep.perform(client)


def holds(slot: Slot, sequence: int) -> None:
    """The worker shows a job and has no room for more."""
    slot.set_counter(telemetry.HELD, sequence)
    slot.activity = telemetry.BUSY


def publish(client: Any, farm: str, watermark: int, held: Sequence[int] = ()) -> None:
    """What another farm's sweep publishes."""
    delivery_queue.sweep(client, farm, watermark, held, LIMITS)


def queued(client: Any) -> int:
    return delivery_queue.read_depths(client).queued


def test_a_popped_job_in_nobodys_hands_is_queued_again(client: Any, redis_url: str, slot: Slot) -> None:
    enqueue(redis_url, job("ep_1", "a"), job("ep_1", "b"))
    lost = pop_and_crash(redis_url)
    rounds(Sweep([slot], "run", lambda: LIMITS), client, slot)
    assert pop_and_crash(redis_url).id == "b"
    again = pop_and_crash(redis_url)
    assert (again.id, again.body, again.attempt) == ("a", lost.body, 1)
    assert again.sequence > lost.sequence
    assert kept(client, "a")["orphaned"] == 1


def test_the_last_job_of_all_is_found_too(client: Any, redis_url: str, slot: Slot) -> None:
    enqueue(redis_url, job("ep_1", "a"))
    pop_and_crash(redis_url)
    rounds(Sweep([slot], "run", lambda: LIMITS), client, slot)
    assert pop_and_crash(redis_url).id == "a"


def test_queued_jobs_are_left_alone(client: Any, redis_url: str, slot: Slot) -> None:
    enqueue(redis_url, *(job("ep_1") for _ in range(3)))
    before = client.lrange(keys.DELIVERY_QUEUE, 0, -1)
    rounds(Sweep([slot], "run", lambda: LIMITS), client, slot, times=3)
    assert client.lrange(keys.DELIVERY_QUEUE, 0, -1) == before


def test_a_job_in_a_live_workers_hands_is_left_alone(client: Any, redis_url: str, slot: Slot) -> None:
    enqueue(redis_url, job("ep_1", "a"))
    holds(slot, pop_and_crash(redis_url).sequence)
    sweep = Sweep([slot], "run", lambda: LIMITS)
    for _ in range(4):
        sweep.perform(client)
    assert queued(client) == 0
    slot.on_exit()
    for _ in range(3):
        sweep.perform(client)
    assert queued(client) == 1


def test_a_worker_that_may_just_be_taking_it_is_waited_for(client: Any, redis_url: str, slot: Slot) -> None:
    """Its BRPOP was sent before the watermark was noted, so its reply may still be on the way."""
    enqueue(redis_url, job("ep_1", "a"))
    claimed = pop_and_crash(redis_url)
    sweep = Sweep([slot], "run", lambda: LIMITS)
    for _ in range(5):
        sweep.perform(client)
    assert queued(client) == 0
    holds(slot, claimed.sequence)
    for _ in range(5):
        sweep.perform(client)
    assert queued(client) == 0


def test_a_job_that_another_farm_holds_is_left_alone_until_that_farm_is_silent(
    client: Any, redis_url: str, slot: Slot
) -> None:
    enqueue(redis_url, job("ep_1", "a"))
    sequence = pop_and_crash(redis_url).sequence
    publish(client, "elsewhere/1/run", sequence + 1, [sequence])
    sweep = Sweep([slot], "run", lambda: LIMITS)
    rounds(sweep, client, slot, times=3)
    assert queued(client) == 0
    long_ago = int(time.time() * 1000) - delivery_queue.FARM_TIMEOUT_MS - 1000
    client.hset(keys.HELD_BY_FARM, "elsewhere/1/run", f"{long_ago} {sequence + 1} {sequence}")
    rounds(sweep, client, slot)
    assert queued(client) == 1
    assert client.hkeys(keys.HELD_BY_FARM) != [b"elsewhere/1/run"]


def test_nothing_above_another_farms_watermark_is_an_orphan(client: Any, redis_url: str, slot: Slot) -> None:
    enqueue(redis_url, job("ep_1", "a"))
    sequence = pop_and_crash(redis_url).sequence
    publish(client, "elsewhere/1/run", sequence)
    rounds(Sweep([slot], "run", lambda: LIMITS), client, slot, times=3)
    assert queued(client) == 0
    publish(client, "elsewhere/1/run", sequence + 1)
    rounds(Sweep([slot], "run", lambda: LIMITS), client, slot)
    assert queued(client) == 1


def test_a_farm_of_this_host_that_is_gone_is_forgotten_at_once(client: Any, slot: Slot) -> None:
    sweep = Sweep([slot], "run", lambda: LIMITS)
    host = sweep._holder.partition("/")[0]
    publish(client, f"{host}/{2**22 + 1}/gone", 0)
    publish(client, f"{host}/{os.getpid()}/alive", 0)
    publish(client, "elsewhere/1/unknown", 0)
    sweep.register(client)
    holders = {name.decode().rpartition("/")[2] for name in client.hkeys(keys.HELD_BY_FARM)}
    assert holders == {"alive", "unknown", "run"}
    sweep.leave(client)
    assert len(client.hkeys(keys.HELD_BY_FARM)) == 2


def test_a_job_that_costs_too_many_workers_is_a_dead_letter(client: Any, redis_url: str, slot: Slot) -> None:
    enqueue(redis_url, job("ep_1", "a"))
    sweep = Sweep([slot], "run", lambda: LIMITS)
    for _ in range(MAX_ORPHANED + 1):
        assert client.zscore(keys.DEAD, "a") is None
        assert pop_and_crash(redis_url).id == "a"
        rounds(sweep, client, slot, times=2)
    assert dead_letters(client)["a"]["reason"] == "worker_lost"
    assert dead_letters(client).keys() == {"a"}


def test_many_orphans_are_found_in_a_few_rounds(client: Any, redis_url: str, slot: Slot) -> None:
    prove(client, *(f"ep_{i}" for i in range(1200)))
    enqueue(redis_url, *(job(f"ep_{i}") for i in range(1200)))
    client.delete(keys.DELIVERY_QUEUE)
    rounds(Sweep([slot], "run", lambda: LIMITS), client, slot, times=3)
    assert delivery_queue.read_depths(client) == Depths(1200, 1200, 0, 0, 0)


def test_somebody_elses_element_at_the_tail_is_waited_for(client: Any, redis_url: str, slot: Slot) -> None:
    enqueue(redis_url, job("ep_1", "a"))
    pop_and_crash(redis_url)
    client.lpush(keys.DELIVERY_QUEUE, "garbage")
    sweep = Sweep([slot], "run", lambda: LIMITS)
    rounds(sweep, client, slot, times=2)
    assert queued(client) == 1
    client.rpop(keys.DELIVERY_QUEUE)
    rounds(sweep, client, slot, times=2)
    assert pop_and_crash(redis_url).id == "a"


def test_a_worker_at_work_loses_nothing_to_the_sweep(client: Any, redis_url: str) -> None:
    """Every job goes through its hands once, with a sweep between any two steps."""
    enqueue(redis_url, *(job("ep_none") for _ in range(30)))
    with one_worker(redis_url) as worker:
        sweep = Sweep([worker.slot], "run", lambda: LIMITS)
        for _ in range(30):
            sweep.perform(client)
            worker.step()
            sweep.perform(client)
        worker.settle()
    assert delivery_queue.read_depths(client) == Depths(0, 0, 0, 0, 30)
    assert all("orphaned" not in letter for letter in dead_letters(client).values())


def test_what_a_dead_worker_held_is_queued_again_by_its_successor_at_once(
    client: Any, redis_url: str, slot: Slot
) -> None:
    enqueue(redis_url, job("ep_1", "a"), job("ep_1", "b"))
    held = pop_and_crash(redis_url)
    with one_worker(redis_url) as worker:
        worker.slot.set_counter(telemetry.HELD, held.sequence)
        worker.step(2)
        worker.settle()
    assert dead_letters(client).keys() == {"a", "b"}
    assert dead_letters(client)["a"]["orphaned"] == 1
    assert "orphaned" not in dead_letters(client)["b"]


def test_what_was_settled_after_all_is_not_inherited(client: Any, redis_url: str) -> None:
    connection = PipelinedConnection(redis_url, 1)
    enqueue(redis_url, job("ep_1", "a"))
    held = pop_and_crash(redis_url)
    with one_worker(redis_url) as worker:
        settle(connection, delivered(held))
        worker.slot.set_counter(telemetry.HELD, held.sequence)
        worker.worker.iterate()
        assert worker.slot.counter(telemetry.HELD) == 0
    connection.close()
    assert delivery_queue.read_depths(client) == Depths(0, 0, 0, 0, 0)
