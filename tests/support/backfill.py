"""A backfill inside a test: its loop without its command, and what it must come to."""

import asyncio
from collections.abc import Callable
from typing import Any

import orjson

from hookfarm import keys
from hookfarm.backfill.plan import Plan, Request, narrowed
from hookfarm.backfill.progress import Progress
from hookfarm.backfill.run import MOST_WAITING, Run
from hookfarm.backfill.source import Source
from hookfarm.config import ChainConfig
from hookfarm.delivery_queue import backfills
from hookfarm.event_stream import Entry
from hookfarm.jobs import Job, Taken, decode, numbered
from hookfarm.message_processor.fan_out import handle
from hookfarm.message_processor.matcher import Index
from hookfarm.records import Endpoint, parse_subscription
from hookfarm.redis_clients import async_client
from tests.support.delivery import add_endpoint
from tests.support.ingestor import CHAIN, QUICK

TRANSFER = "Transfer(address indexed from, address indexed to, uint256 value)"

Watch = Callable[["asyncio.Task[None]", Progress], None]
"""Told of each progress; it may cancel the backfill."""


def subscribed(client: Any, event: str | None = TRANSFER, **fields: Any) -> Endpoint:
    """An endpoint that nobody listens at, with a subscription of the tests' chain."""
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
    most_waiting: int = MOST_WAITING,
    **settings: Any,
) -> Progress:
    """Runs or resumes it until it ends, or `watch` cancels it; where it stands then."""
    request = Request(endpoint.id, CHAIN, from_block, to_block, None)
    plan = Plan(request, narrowed(endpoint, request), ChainConfig(CHAIN, urls, **settings), to_block)
    facts: dict[str, str | int] = {"endpoint": endpoint.id, "chain_id": CHAIN, "subscription": ""}
    span: dict[str, str | int] = {"from_block": from_block, "to_block": to_block}
    stands = backfills.read(client, request.name) or backfills.begin(client, request.name, {**facts, **span})
    index = Index()
    assert not index.put(plan.endpoint)

    async def live() -> Progress:
        async with async_client(redis_url) as connected:
            work: list[asyncio.Task[None]] = []

            def show(progress: Progress) -> None:
                if watch is not None:
                    watch(work[0], progress)

            run = Run(connected, plan, index, Source(plan.chain, None, QUICK), stands, show, most_waiting)
            work.append(asyncio.create_task(run.run()))
            await asyncio.wait(work)
            if not work[0].cancelled():
                work[0].result()
            return run.progress()

    return asyncio.run(live())


def jobs_of(client: Any) -> dict[str, bytes]:
    """What the queue and the lanes hold, each job once: id -> body."""
    owed, laned = client.hgetall(keys.JOBS), client.hgetall(keys.LANE_JOBS)
    assert not set(owed) & set(laned), "in a lane and in the ledger"
    found = {}
    for stored in (*owed.values(), *laned.values()):
        taken = decode(numbered(0, stored))
        assert isinstance(taken, Taken)
        found[taken.id] = taken.body
    return found


def live_jobs(endpoint: Endpoint, events: list[dict[str, Any]]) -> dict[str, bytes]:
    """What live delivery makes of these events: id -> body."""
    index = Index()
    index.put(endpoint)
    made: list[Job] = []
    for number, event in enumerate(events):
        made += handle(index, Entry(CHAIN, f"{number}-1".encode(), orjson.dumps(event))).jobs
    return {job.id: job.body for job in made}
