"""A backfill inside a test: its loop without the command, and its expected result."""

import asyncio
from collections.abc import Callable
from typing import Any

import orjson

from hookfarm import delivery_queue
from hookfarm.backfill import state
from hookfarm.backfill.plan import BackfillPlan, BackfillRequest, narrowed
from hookfarm.backfill.run import MAX_QUEUED, BackfillRun
from hookfarm.backfill.state import Progress
from hookfarm.chain.profiles import DEFAULT_TAG_BLOCKS
from hookfarm.config import ChainConfig
from hookfarm.delivery_queue import StoredLog
from hookfarm.delivery_queue.job import ClaimedJob, Job, decode_job
from hookfarm.event_stream import StreamEntry, StreamReader
from hookfarm.matching import notifications
from hookfarm.matching.index import Index
from hookfarm.records import Endpoint, parse_subscription
from hookfarm.store import keys
from hookfarm.store.clients import PipelinedConnection, async_client
from tests.support.delivery import add_endpoint
from tests.support.delivery import delivered as settlement
from tests.support.ingestor import CHAIN, QUICK
from tests.support.matching import process
from tests.support.queue import settle, take

TRANSFER = "Transfer(address indexed from, address indexed to, uint256 value)"

Watch = Callable[["asyncio.Task[None]", Progress], None]
"""Function called with each progress; it may cancel the backfill."""


def subscribed(client: Any, event: str | None = TRANSFER, **fields: Any) -> Endpoint:
    """Add an endpoint without a receiver, with a subscription to the tests' chain."""
    subscription = parse_subscription({"chain_id": CHAIN, "event": event, **fields})
    return add_endpoint(client, "http://127.0.0.1:9/", subscriptions=(subscription,))


def run_backfill(
    client: Any,
    redis_url: str,
    endpoint: Endpoint,
    urls: tuple[str, ...],
    to_block: int,
    watch: Watch | None = None,
    from_block: int = 1,
    max_queued: int = MAX_QUEUED,
    **settings: Any,
) -> Progress:
    """Run or resume the backfill until it ends or `watch` cancels it; return its progress."""
    request = BackfillRequest(endpoint.id, CHAIN, from_block, to_block, None)
    plan = BackfillPlan(request, narrowed(endpoint, request), ChainConfig(CHAIN, urls, **settings), to_block)
    facts: dict[str, str | int] = {"endpoint": endpoint.id, "chain_id": CHAIN, "subscription": ""}
    span: dict[str, str | int] = {"from_block": from_block, "to_block": to_block}
    position = state.read(client, request.name) or state.start(client, request.name, {**facts, **span})
    index = Index()
    assert not index.put(plan.endpoint)

    async def live() -> Progress:
        async with async_client(redis_url) as connected:
            work: list[asyncio.Task[None]] = []

            def show(progress: Progress) -> None:
                if watch is not None:
                    watch(work[0], progress)

            run = BackfillRun(connected, plan, position, show, QUICK, max_queued)
            work.append(asyncio.create_task(run.run()))
            await asyncio.wait(work)
            if not work[0].cancelled():
                work[0].result()
            return run.progress()

    return asyncio.run(live())


def jobs_of(client: Any) -> dict[str, bytes]:
    """Return the jobs of the queue and the backfill queues, and their follow-ups, each once: id -> body."""
    owed, queued = client.hgetall(keys.JOBS), client.hgetall(keys.BACKFILL_JOBS)
    for delivered in client.hkeys(keys.DELIVERED):
        del owed[delivered]
    assert not set(owed) & set(queued), "both in a backfill queue and in the ledger"
    found = {}
    for stored in (*owed.values(), *queued.values(), *client.hvals(keys.FOLLOW_UPS)):
        claimed = decode_job(stored)
        assert isinstance(claimed, ClaimedJob)
        assert claimed.id not in found, "both a follow-up and a queued job"
        found[claimed.id] = claimed.body
    return found


def live_jobs(endpoint: Endpoint, events: list[dict[str, Any]]) -> dict[str, bytes]:
    """Return the jobs that live delivery makes of these events: id -> body."""
    index = Index()
    index.put(endpoint)
    made: list[Job] = []
    for number, event in enumerate(events):
        made += process(index, StreamEntry(CHAIN, f"{number}-1".encode(), orjson.dumps(event))).jobs
    return {job.id: job.body for job in made}


def final_jobs(endpoint: Endpoint, events: list[dict[str, Any]]) -> dict[str, bytes]:
    """Return the jobs that live delivery makes of these events once their blocks are final: id -> body."""
    index = Index()
    index.put(endpoint)
    made: list[Job] = []
    for event in events:
        handled = process(index, StreamEntry(CHAIN, b"1-1", orjson.dumps(event)))
        if handled.history is not None and handled.awaits_finality is not None:
            kept = StoredLog(str(handled.history.position), handled.history.after, handled.awaits_finality.stored)
            made += [job for job, _ in notifications.finality_update(index, handled.history.block, kept).jobs]
    return {job.id: job.body for job in made}


def deliver_everything(client: Any, redis_url: str) -> list[str]:
    """Deliver all jobs of the queue and the backfill queues; return their ids in order of delivery."""
    connection = PipelinedConnection(redis_url, delivery_queue.BLOCK_SECONDS)
    order = []
    while client.llen(keys.DELIVERY_QUEUE):
        claimed = take(connection)
        assert isinstance(claimed, ClaimedJob)
        order.append(claimed.id)
        settle(connection, settlement(claimed))
    connection.close()
    return order


def process_stream(client: Any, redis_url: str, endpoint: Endpoint) -> int:
    """Process the stream's entries and newly final blocks like a processor; return the number of enqueued jobs."""
    connection = PipelinedConnection(redis_url, delivery_queue.BLOCK_SECONDS)
    reader, index, enqueued = StreamReader(connection, "test"), Index(), 0
    reader.follow([CHAIN])
    index.put(endpoint)
    while client.xlen(keys.events(CHAIN)):
        reader.send_read()
        entries, _ = reader.receive()
        done = delivery_queue.enqueue_results(connection, [process(index, entry) for entry in entries])
        again = [
            process(index, entry, done.conflicts[entry.entry_id])
            for entry in entries
            if entry.entry_id in done.conflicts
        ]
        enqueued += done.enqueued + delivery_queue.enqueue_results(connection, again).enqueued
    while (confirmed := delivery_queue.enqueue_confirmed(connection, CHAIN, DEFAULT_TAG_BLOCKS)) != (0, ()):
        enqueued += confirmed.enqueued + sum(
            notifications.enqueue_finalized(connection, index, confirmed.final_blocks)
        )
    connection.close()
    return enqueued
