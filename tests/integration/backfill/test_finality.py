"""History for subscriptions that ask for `finalized`: told at once where the block is final, else once it is."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import orjson
import pytest

from hookfarm import delivery_queue
from hookfarm.backfill import selection
from hookfarm.backfill.chain_view import ChainView
from hookfarm.backfill.selection import Selection
from hookfarm.chain.block import Block, Header
from hookfarm.delivery_queue import HealthSignal
from hookfarm.delivery_queue.job import ClaimedJob
from hookfarm.devchain.embedded import RunningDevchain, running_devchain
from hookfarm.event_stream.event_json import encode_events
from hookfarm.matching.history import History, NotifiedEndpoint
from hookfarm.matching.index import Index
from hookfarm.records import Endpoint
from hookfarm.store import keys
from hookfarm.store.clients import PipelinedConnection, async_client
from tests.support.backfill import (
    deliver_everything,
    final_jobs,
    jobs_of,
    live_jobs,
    process_stream,
    run_backfill,
    subscribed,
)
from tests.support.backfill_queue import queued_ids
from tests.support.delivery import set_capacity, undelivered
from tests.support.ingestor import CHAIN, Published, canonical, running_ingestor
from tests.support.queue import settle, take
from tests.support.redis_server import RedisServer
from tests.support.transfers import canonical_transfers

BLOCKS, DISTANCE = 60, 20
FINAL = BLOCKS - DISTANCE
ALL = ["emitted", "removed", "finalized"]


@pytest.fixture
def devchain() -> Iterator[RunningDevchain]:
    with running_devchain(
        chain_id=CHAIN, logs_per_block=2, transfers_per_block=1, safe_distance=5, finalized_distance=DISTANCE
    ) as chain:
        chain.mine(BLOCKS)
        yield chain


@pytest.fixture(autouse=True)
def published(devchain: RunningDevchain, redis_server: RedisServer) -> Iterator[Published]:
    """The chain has been watched, up to its head, and all of that was handed off."""
    found = Published(redis_server)
    watch(devchain, redis_server.url, found)
    found.client.delete(keys.events(CHAIN))
    yield found
    found.client.close()


def watch(devchain: RunningDevchain, redis_url: str, published: Published) -> None:
    """Until the chain's head is published; and its final block is told, which a node is not asked for at once."""
    with running_ingestor(CHAIN, devchain.http_url, redis_url):
        published.wait_for(devchain)
    final = devchain.head().number - DISTANCE
    published.client.hset(keys.heads(CHAIN), mapping={"safe": final, "finalized": final})


def up_to(events: list[dict[str, Any]], number: int) -> list[dict[str, Any]]:
    return [event for event in events if event["block_number"] <= number]


def backfill(client: Any, redis_url: str, endpoint: Endpoint, devchain: RunningDevchain) -> tuple[int, int]:
    progress = run_backfill(client, redis_url, endpoint, (devchain.http_url,), BLOCKS)
    return progress.delivered_new, progress.already_delivered


@pytest.mark.parametrize("kind", ["log", "transfer"])
def test_what_is_final_is_told_behind_its_original_and_the_rest_once_it_is(
    client: Any, redis_url: str, devchain: RunningDevchain, published: Published, kind: str
) -> None:
    endpoint = subscribed(client, **({"event": None, "kind": kind} if kind == "transfer" else {}), notify=ALL)
    read = canonical_transfers if kind == "transfer" else canonical
    events = read(devchain)
    assert backfill(client, redis_url, endpoint, devchain) == (len(events), 0)
    assert jobs_of(client) == live_jobs(endpoint, events) | final_jobs(endpoint, up_to(events, FINAL))
    order = deliver_everything(client, redis_url)
    devchain.mine(DISTANCE)
    watch(devchain, redis_url, published)
    client.delete(keys.events(CHAIN))
    process_stream(client, redis_url, endpoint)
    later = {job for job in jobs_of(client) if job in final_jobs(endpoint, events)}
    assert later == final_jobs(endpoint, events).keys() - set(order)
    order += deliver_everything(client, redis_url)
    assert len(order) == len(set(order)) == 2 * len(events)
    place = {job: i for i, job in enumerate(order)}
    for job, body in final_jobs(endpoint, events).items():
        assert place[orjson.loads(body)["original"]] < place[job]


def test_an_endpoint_that_asks_for_finality_alone_has_not_been_told_before(
    client: Any, redis_url: str, devchain: RunningDevchain, published: Published
) -> None:
    endpoint = subscribed(client, notify=["finalized"])
    events = canonical(devchain)
    assert backfill(client, redis_url, endpoint, devchain) == (len(events), 0)
    told = jobs_of(client)
    assert told == final_jobs(endpoint, up_to(events, FINAL))
    assert all(orjson.loads(body)["original"] is None for body in told.values())
    assert len(queued_ids(client, endpoint.id)) + undelivered(client) == len(told)
    deliver_everything(client, redis_url)
    progress = run_backfill(client, redis_url, endpoint, (devchain.http_url,), BLOCKS, from_block=2)
    assert (progress.delivered_new, progress.already_delivered) == (0, len(events) - 2)
    devchain.mine(DISTANCE)
    watch(devchain, redis_url, published)
    client.delete(keys.events(CHAIN))
    process_stream(client, redis_url, endpoint)
    assert jobs_of(client).keys() == final_jobs(endpoint, events).keys() - told.keys()


def test_what_is_taken_back_before_it_is_final_never_is(
    client: Any, redis_url: str, devchain: RunningDevchain, published: Published
) -> None:
    endpoint = subscribed(client, notify=ALL)
    backfill(client, redis_url, endpoint, devchain)
    deliver_everything(client, redis_url)
    orphaned = canonical(devchain, BLOCKS - 10)
    devchain.reorg(10)
    devchain.mine(DISTANCE)
    watch(devchain, redis_url, published)
    process_stream(client, redis_url, endpoint)
    deliver_everything(client, redis_url)
    known = {job.decode() for job in client.hkeys(keys.DELIVERED)}
    assert not known & final_jobs(endpoint, orphaned).keys()
    assert final_jobs(endpoint, up_to(canonical(devchain), BLOCKS)).keys() <= known
    assert live_jobs(endpoint, orphaned).keys() <= known


def test_finality_that_comes_while_the_original_is_in_a_queue_is_told_after_it(
    client: Any, redis_url: str, devchain: RunningDevchain, published: Published
) -> None:
    set_capacity(client, 50)
    endpoint = subscribed(client, notify=ALL)
    events = canonical(devchain)
    backfill(client, redis_url, endpoint, devchain)
    devchain.mine(DISTANCE)
    watch(devchain, redis_url, published)
    client.delete(keys.events(CHAIN))
    assert len(queued_ids(client, endpoint.id)) > 2 * DISTANCE
    process_stream(client, redis_url, endpoint)
    assert jobs_of(client) == live_jobs(endpoint, events) | final_jobs(endpoint, events)
    order = deliver_everything(client, redis_url)
    place = {job: i for i, job in enumerate(order)}
    for job, body in final_jobs(endpoint, events).items():
        assert place[orjson.loads(body)["original"]] < place[job]


def test_an_original_that_is_tried_again_is_not_overtaken(
    client: Any, redis_url: str, devchain: RunningDevchain
) -> None:
    endpoint = subscribed(client, notify=ALL)
    run_backfill(client, redis_url, endpoint, (devchain.http_url,), 1)
    connection = PipelinedConnection(redis_url, delivery_queue.BLOCK_SECONDS)
    first = take(connection)
    assert isinstance(first, ClaimedJob)
    failed = delivery_queue.failed(first, first.with_outcome({}, attempt=2), 0.0, HealthSignal.UNHEALTHY)
    settle(connection, failed)
    connection.close()
    following = {
        job
        for job, body in final_jobs(endpoint, up_to(canonical(devchain), 1)).items()
        if orjson.loads(body)["original"] == first.id
    }
    others = set(deliver_everything(client, redis_url))
    assert len(others) == 2
    assert not others & {first.id, *following}
    delivery_queue.tick(client)
    assert deliver_everything(client, redis_url) == [first.id, *following]


def test_what_was_delivered_before_is_followed_by_what_says_that_it_is_final(
    client: Any, redis_url: str, devchain: RunningDevchain
) -> None:
    """The endpoint has begun to ask for it since."""
    endpoint = subscribed(client)
    backfill(client, redis_url, endpoint, devchain)
    deliver_everything(client, redis_url)
    events = up_to(canonical(devchain), FINAL)
    asks = replace(endpoint, subscriptions=(replace(endpoint.subscriptions[0], notify=tuple(ALL)),))
    progress = run_backfill(client, redis_url, asks, (devchain.http_url,), FINAL, from_block=1)
    assert progress.delivered_new == len(events)
    assert jobs_of(client) == final_jobs(asks, events)


@pytest.mark.parametrize("somebody_else_waits", [False, True])
def test_a_block_too_deep_for_a_reorg_may_still_have_to_become_final(
    client: Any, redis_url: str, devchain: RunningDevchain, somebody_else_waits: bool
) -> None:
    """The chain's finality has stalled."""
    endpoint, other = subscribed(client, notify=ALL), NotifiedEndpoint("ep_other", "sub_other", "erf")
    event: Any = canonical(devchain, 30)[0]
    if somebody_else_waits:
        told = History("1-1", True, 0, (other,)).encode()
        client.hset(f"{keys.HISTORY}{CHAIN}:{event['block_hash']}", event["log_index"], told)
    header = Header(event["block_number"], event["block_hash"], "0x", event["block_timestamp"], None)
    view, index = ChainView(1000, safe=5, finalized=5, handled=1000), Index()
    index.put(endpoint)

    async def select() -> Selection:
        async with async_client(redis_url) as connected:
            return await selection.select(connected, CHAIN, index, [Block(header, encode_events((event,)))], view)

    [wanted] = asyncio.run(select()).logs
    assert [placed.job.id for placed in wanted.jobs] == list(live_jobs(endpoint, [event]))
    assert wanted.history is not None
    kept = History.decode(wanted.history.after)
    assert kept is not None
    assert [each.endpoint for each in kept.receivers] == ["ep_other"] * somebody_else_waits + [endpoint.id]
    assert (wanted.awaits_finality is None) == somebody_else_waits
