"""Jobs of backfills, which every live job goes before."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from hookfarm import delivery_queue, event_stream
from hookfarm.backfill import state
from hookfarm.backfill.job_queue import BackfillJob, Batch, MatchedLog
from hookfarm.deliveries import endpoint_stats
from hookfarm.delivery_queue import HealthSignal
from hookfarm.delivery_queue.enqueue import EntryResult, HistoryUpdate, Retraction, UnconfirmedJob
from hookfarm.delivery_queue.job import Job
from hookfarm.event_stream import Checkpoint, StreamBlock, StreamReader
from hookfarm.records import Endpoint
from hookfarm.registry.store import Registry
from hookfarm.store import keys
from hookfarm.store.clients import PipelinedConnection, async_client
from tests.support.backfill_queue import BLOCK, fill, lock, name, queued_ids, start, submit
from tests.support.delivery import CHAIN_ID, enqueue, job, kept, parked, set_capacity, undelivered
from tests.support.ledger import assert_drained, assert_ledger_invariant
from tests.support.queue import deliver, pop, settle

WORKERS = 8
ENDPOINT, OTHER, LIVE = "ep_one", "ep_other", "ep_live"


@pytest.fixture(autouse=True)
def farm(client: Any) -> Iterator[Registry]:
    """As if the farms had eight workers; three endpoints."""
    set_capacity(client, WORKERS)
    registry = Registry(client)
    for each in (ENDPOINT, OTHER, LIVE):
        registry.add(Endpoint(each, "http://127.0.0.1:9/"))
    yield registry
    assert_ledger_invariant(client)


def jobs(endpoint: str, count: int, prefix: str = "past") -> list[Job]:
    return [job(endpoint, f"{prefix}-{endpoint}-{n:03}") for n in range(count)]


def ids(some: list[Job]) -> list[str]:
    return [each.id for each in some]


def deliver_all(client: Any, connection: PipelinedConnection) -> list[str]:
    """Until the list is empty; the ids in the order in which they were claimed."""
    order = []
    while client.llen(keys.DELIVERY_QUEUE):
        claimed = pop(connection)
        order.append(claimed.id)
        deliver(connection, claimed)
    return order


def opened(client: Any, *endpoints: str) -> list[int]:
    return [window.open for window in endpoint_stats.read_windows(client, endpoints)]


def quiet(client: Any) -> None:
    """As if no live job had been open for a while."""
    client.delete(keys.LIVE_ACTIVITY)


def test_a_queued_job_is_no_part_of_the_ledger_until_its_window_has_room(client: Any, redis_url: str) -> None:
    assert fill(redis_url, ENDPOINT, jobs(ENDPOINT, 30)) == 30
    depths = delivery_queue.read_depths(client)
    assert (depths.queued, depths.open, depths.parked) == (4, 4, 0)
    assert queued_ids(client, ENDPOINT) == ids(jobs(ENDPOINT, 30))[4:]
    assert state.total_queued(client) == 26


def test_an_idle_farm_gives_a_queue_all_workers_in_the_order_of_the_chain(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    fill(redis_url, ENDPOINT, jobs(ENDPOINT, 200))
    order = []
    for _ in range(40):
        claimed = pop(connection)
        order.append(claimed.id)
        deliver(connection, claimed)
    assert opened(client, ENDPOINT)[0] >= WORKERS
    order += deliver_all(client, connection)
    assert order == ids(jobs(ENDPOINT, 200))
    assert_drained(client)


def test_live_jobs_of_the_same_endpoint_go_before_what_is_in_its_queue(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    fill(redis_url, ENDPOINT, jobs(ENDPOINT, 20))
    live = jobs(ENDPOINT, 3, "live")
    enqueue(redis_url, *live)
    assert parked(client, ENDPOINT) == ids(live)
    order = deliver_all(client, connection)
    past = ids(jobs(ENDPOINT, 20))
    assert order == past[:4] + ids(live) + past[4:]


def test_beside_live_jobs_a_queue_has_a_quarter_of_the_workers(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    live = jobs(LIVE, 2, "live")
    enqueue(redis_url, *live)
    fill(redis_url, ENDPOINT, jobs(ENDPOINT, 50))
    assert opened(client, ENDPOINT) == [WORKERS // 4]
    first = pop(connection)
    assert first.id == live[0].id
    deliver(connection, first)
    delivery_queue.tick(client)
    assert opened(client, ENDPOINT) == [WORKERS // 4]
    deliver(connection, pop(connection))
    quiet(client)
    delivery_queue.tick(client)
    assert opened(client, ENDPOINT)[0] > WORKERS // 4


def test_a_queue_gives_way_once_live_jobs_come(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    fill(redis_url, ENDPOINT, jobs(ENDPOINT, 100))
    for _ in range(30):
        deliver(connection, pop(connection))
    assert opened(client, ENDPOINT)[0] >= WORKERS
    enqueue(redis_url, *jobs(LIVE, 30, "live"))
    for _ in range(20):
        claimed = pop(connection)
        if claimed.endpoint == LIVE:
            exchange_back = delivery_queue.returned(claimed)
            settle(connection, exchange_back)
        else:
            deliver(connection, claimed)
    assert opened(client, ENDPOINT) == [WORKERS // 4]


def test_all_queues_together_have_a_quarter_and_none_of_them_nothing(client: Any, redis_url: str) -> None:
    enqueue(redis_url, *jobs(LIVE, 1, "live"))
    fill(redis_url, ENDPOINT, jobs(ENDPOINT, 50))
    fill(redis_url, OTHER, jobs(OTHER, 50))
    set_capacity(client, 16)
    delivery_queue.tick(client)
    assert opened(client, ENDPOINT, OTHER) == [2, 2]


def test_a_share_is_handed_on_to_the_queue_that_has_none(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    enqueue(redis_url, *jobs(LIVE, 1, "live"))
    fill(redis_url, ENDPOINT, jobs(ENDPOINT, 50))
    fill(redis_url, OTHER, jobs(OTHER, 50))
    assert opened(client, ENDPOINT, OTHER) == [2, 0]
    assert pop(connection).endpoint == LIVE
    deliver(connection, pop(connection))
    delivery_queue.tick(client)
    assert opened(client, ENDPOINT, OTHER) == [1, 1]


def test_queues_alone_open_no_more_than_there_are_workers_and_a_bite(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    fill(redis_url, ENDPOINT, jobs(ENDPOINT, 200))
    fill(redis_url, OTHER, jobs(OTHER, 200))
    for _ in range(100):
        deliver(connection, pop(connection))
        assert sum(opened(client, ENDPOINT, OTHER)) <= WORKERS + 8


def test_a_live_endpoint_beside_a_queue_begins_as_if_it_were_alone(client: Any, redis_url: str) -> None:
    set_capacity(client, 40)
    fill(redis_url, ENDPOINT, jobs(ENDPOINT, 50))
    enqueue(redis_url, *jobs(LIVE, 50, "live"))
    assert opened(client, LIVE) == [5], "an eighth of the capacity"


def test_what_is_delivered_or_owed_already_is_not_put_into_a_queue(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    past = jobs(ENDPOINT, 6)
    enqueue(redis_url, *past[:3])
    deliver(connection, pop(connection))
    assert fill(redis_url, ENDPOINT, past) == 3
    assert fill(redis_url, ENDPOINT, past) == 0
    position = state.read(client, name(ENDPOINT))
    assert position is not None
    assert (position.delivered_new, position.already_delivered) == (0, 6)
    assert len(deliver_all(client, connection)) == 5


def test_what_is_delivered_live_while_it_waits_in_a_queue_leaves_it_unsent(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    past = jobs(ENDPOINT, 12)
    fill(redis_url, ENDPOINT, past)
    enqueue(redis_url, past[9], past[11])
    order = deliver_all(client, connection)
    assert sorted(order) == ids(past)
    assert queued_ids(client, ENDPOINT) == []


def test_the_queue_of_a_disabled_endpoint_waits_until_it_is_enabled(
    client: Any, redis_url: str, connection: PipelinedConnection, farm: Registry
) -> None:
    farm.disable(ENDPOINT, "a test")
    fill(redis_url, ENDPOINT, jobs(ENDPOINT, 5))
    delivery_queue.tick(client)
    assert (opened(client, ENDPOINT), len(queued_ids(client, ENDPOINT))) == ([0], 5)
    farm.edit(ENDPOINT, lambda endpoint: replace(endpoint, enabled=True))
    delivery_queue.tick(client)
    assert deliver_all(client, connection) == ids(jobs(ENDPOINT, 5))


def test_with_an_endpoint_goes_its_queue_and_nobody_elses(client: Any, redis_url: str, farm: Registry) -> None:
    for each in (ENDPOINT, OTHER):
        fill(redis_url, each, jobs(each, 50))
    farm.remove(ENDPOINT)
    assert queued_ids(client, ENDPOINT) == []
    assert state.read(client, name(ENDPOINT)) is None
    assert len(queued_ids(client, OTHER)) > 40
    assert submit(redis_url, ENDPOINT, Batch(None, BLOCK, 1, 0)).result == "gone"


def test_an_ordered_endpoint_takes_its_queue_one_by_one_and_a_retry_before_the_next(
    client: Any, redis_url: str, connection: PipelinedConnection, farm: Registry
) -> None:
    farm.edit(ENDPOINT, lambda endpoint: replace(endpoint, ordered=True))
    fill(redis_url, ENDPOINT, jobs(ENDPOINT, 4))
    first = pop(connection)
    failed = delivery_queue.failed(first, first.with_outcome({}, attempt=2), 0.0, HealthSignal.UNHEALTHY)
    settle(connection, failed)
    delivery_queue.tick(client)
    assert opened(client, ENDPOINT) == [1]
    enqueue(redis_url, *jobs(ENDPOINT, 1, "live"))
    past = ids(jobs(ENDPOINT, 4))
    assert deliver_all(client, connection) == [past[0], f"live-{ENDPOINT}-000", *past[1:]]


def test_a_log_taken_back_while_its_job_is_in_a_queue_is_told_to_nobody(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    past = jobs(ENDPOINT, 10)
    fill(redis_url, ENDPOINT, past)
    reader = StreamReader(connection, "test")
    reader.follow([CHAIN_ID])
    client.xadd(keys.events(CHAIN_ID), {keys.EVENT_FIELD: b"{}"})
    reader.send_read()
    [entry], _ = reader.receive()
    taken_back = tuple(Retraction(ENDPOINT, (each.id,), job(ENDPOINT, f"removed-{each.id}")) for each in past[7:])
    assert delivery_queue.enqueue_results(connection, [EntryResult(entry, retractions=taken_back)]).enqueued == 0
    assert deliver_all(client, connection) == ids(past[:7])


def test_a_backfill_that_stands_elsewhere_hands_nothing_over(client: Any, redis_url: str) -> None:
    fill(redis_url, ENDPOINT, jobs(ENDPOINT, 1))
    more = Batch(
        Checkpoint(1, "0xother"), Checkpoint(2, "0xb2"), 1, 1, [MatchedLog((BackfillJob(job(ENDPOINT, "more")),))]
    )
    assert submit(redis_url, ENDPOINT, more).result == "moved"
    assert queued_ids(client, ENDPOINT) == []
    position = state.read(client, name(ENDPOINT))
    assert position is not None
    assert position.position == BLOCK


@pytest.mark.parametrize("published", [None, "0x" + "c1" * 32])
def test_a_block_that_is_not_the_published_one_is_not_handed_over(
    client: Any, redis_url: str, published: str | None
) -> None:
    start(client, ENDPOINT)
    if published is not None:
        publish_block(redis_url, Checkpoint(1, published))
    batch = Batch(None, BLOCK, 1, 1, [MatchedLog((BackfillJob(job(ENDPOINT, "m1")),))], checked=True)
    assert submit(redis_url, ENDPOINT, batch).result == "unlinked"
    assert not undelivered(client)
    client.delete(keys.checkpoint(CHAIN_ID))
    publish_block(redis_url, BLOCK)
    assert submit(redis_url, ENDPOINT, batch) == ("done", 1)


def publish_block(redis_url: str, block: Checkpoint) -> None:
    async def call() -> None:
        async with async_client(redis_url) as connected:
            await event_stream.publish(
                connected, CHAIN_ID, None, [StreamBlock(block.number, block.block_hash, "")]
            )

    asyncio.run(call())


def test_what_is_told_of_a_log_is_compared_and_noted(client: Any, redis_url: str) -> None:
    start(client, ENDPOINT)
    log = HistoryUpdate(f"{CHAIN_ID}:0xb1", 0, "", f"0-0 + 0 {ENDPOINT}:sub_1")
    other = HistoryUpdate(f"{CHAIN_ID}:0xb1", 1, "", f"0-0 + 0 {ENDPOINT}:sub_1")
    client.hset(keys.HISTORY + log.block, "1", "1-0 + 0 ep_live:sub_2")
    batch = Batch(
        None,
        BLOCK,
        1,
        2,
        [
            MatchedLog((BackfillJob(job(ENDPOINT, "m0")),), history=log),
            MatchedLog((BackfillJob(job(ENDPOINT, "m1")),), history=other),
        ],
    )
    assert submit(redis_url, ENDPOINT, batch) == ("history_changed", 2)
    assert (undelivered(client), client.hget(keys.HISTORY + log.block, "0")) == (0, None)
    right = replace(batch, logs=[batch.logs[0], MatchedLog((BackfillJob(job(ENDPOINT, "m1")),))])
    assert submit(redis_url, ENDPOINT, right) == ("done", 2)
    assert client.hget(keys.HISTORY + log.block, "0") == log.after.encode()
    assert client.ttl(keys.HISTORY + log.block) > 80_000


def test_what_waits_for_confirmations_waits_where_live_ones_do(client: Any, redis_url: str) -> None:
    start(client, ENDPOINT)
    waiting = job(ENDPOINT, "later")
    batch = Batch(None, BLOCK, 1, 1, [MatchedLog((BackfillJob(waiting, UnconfirmedJob(waiting, "blocks", 13)),))])
    assert submit(redis_url, ENDPOINT, batch) == ("done", 1)
    assert client.hkeys(keys.UNCONFIRMED) == [b"later"]
    assert client.zscore(f"{keys.UNCONFIRMED_BY_BLOCK}{CHAIN_ID}:blocks", "later") == 13
    assert queued_ids(client, ENDPOINT) == []


def followed(originals: list[Job]) -> tuple[Batch, list[str]]:
    """A first block whose logs are told of twice, and the ids of what comes second."""
    ends = [job(ENDPOINT, f"end-{each.id}") for each in originals]
    pairs = zip(originals, ends, strict=True)
    wanted = [MatchedLog((BackfillJob(first), BackfillJob(end, None, first.id))) for first, end in pairs]
    return Batch(None, BLOCK, 1, len(wanted), wanted), ids(ends)


def test_what_follows_a_job_of_a_queue_is_sent_once_that_is_over(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    past = jobs(ENDPOINT, 30)
    start(client, ENDPOINT)
    batch, ends = followed(past)
    assert submit(redis_url, ENDPOINT, batch) == ("done", 30)
    order = deliver_all(client, connection)
    assert sorted(order) == sorted([*ids(past), *ends])
    assert all(order.index(first) < order.index(end) for first, end in zip(ids(past), ends, strict=True))
    assert client.hlen(keys.FOLLOW_UPS) == 0


def test_an_ordered_endpoint_is_told_the_end_of_a_log_before_the_next_log(
    client: Any, redis_url: str, connection: PipelinedConnection, farm: Registry
) -> None:
    farm.edit(ENDPOINT, lambda endpoint: replace(endpoint, ordered=True))
    start(client, ENDPOINT)
    batch, ends = followed(jobs(ENDPOINT, 4))
    submit(redis_url, ENDPOINT, batch)
    pairs = zip(ids(jobs(ENDPOINT, 4)), ends, strict=True)
    assert deliver_all(client, connection) == [each for pair in pairs for each in pair]


def test_what_follows_a_job_that_was_delivered_live_meanwhile_is_sent(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    past = jobs(ENDPOINT, 12)
    start(client, ENDPOINT)
    batch, ends = followed(past)
    submit(redis_url, ENDPOINT, batch)
    unsent = queued_ids(client, ENDPOINT)
    assert len(unsent) >= 2
    client.hset(keys.JOBS, unsent[-1], "{}")
    client.hset(keys.DELIVERED, unsent[-1], "{}")
    order = deliver_all(client, connection)
    assert sorted(order) == sorted([*(i for i in ids(past) if i != unsent[-1]), *ends])
    assert client.hlen(keys.FOLLOW_UPS) == 0


def test_with_an_endpoint_goes_what_would_have_followed_its_queue(
    client: Any, redis_url: str, farm: Registry
) -> None:
    start(client, ENDPOINT)
    batch, _ = followed(jobs(ENDPOINT, 30))
    submit(redis_url, ENDPOINT, batch)
    owed = undelivered(client)
    farm.remove(ENDPOINT)
    assert client.hlen(keys.FOLLOW_UPS) == owed


def test_while_another_backfill_holds_the_endpoint_nothing_is_handed_over(client: Any, redis_url: str) -> None:
    start(client, ENDPOINT)
    batch = Batch(None, BLOCK, 1, 1, [MatchedLog((BackfillJob(job(ENDPOINT, "m1")),))], is_last=True)
    client.set(keys.BACKFILL_LOCK + ENDPOINT, "another", px=60_000)
    assert submit(redis_url, ENDPOINT, batch, lock=True) == ("locked", 0)
    assert (undelivered(client), client.get(keys.BACKFILL_LOCK + ENDPOINT)) == (0, b"another")
    client.set(keys.BACKFILL_LOCK + ENDPOINT, name(ENDPOINT), px=60_000)
    assert submit(redis_url, ENDPOINT, batch, lock=True) == ("done", 1)
    lock(redis_url, ENDPOINT)
    assert client.get(keys.BACKFILL_LOCK + ENDPOINT) is None, "done, and still held"


def test_a_failed_job_of_a_queue_is_retried_like_any_other(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    fill(redis_url, ENDPOINT, jobs(ENDPOINT, 1))
    claimed = pop(connection)
    failed = delivery_queue.failed(claimed, claimed.with_outcome({}, attempt=2), 60.0, HealthSignal.UNHEALTHY)
    settle(connection, failed)
    assert delivery_queue.read_depths(client).retry == 1
    assert kept(client, claimed.id)["attempt"] == 2


def test_a_dead_endpoints_queue_stays_where_it_is_but_for_one_probe_at_a_time(
    client: Any, redis_url: str, connection: PipelinedConnection
) -> None:
    fill(redis_url, ENDPOINT, jobs(ENDPOINT, 100))
    for _ in range(9):
        if client.llen(keys.DELIVERY_QUEUE):
            claimed = pop(connection)
            failed = delivery_queue.failed(
                claimed, claimed.with_outcome({}, attempt=2), 60.0, HealthSignal.UNHEALTHY
            )
            settle(connection, failed)
            delivery_queue.tick(client)
    assert opened(client, ENDPOINT)[0] <= 1
    assert len(queued_ids(client, ENDPOINT)) >= 90
