"""Jobs in a backfill queue, submitted as in a backfill."""

import asyncio
from collections.abc import Sequence
from typing import Any

from hookfarm.backfill import job_queue, state
from hookfarm.backfill.job_queue import BackfillJob, Batch, BatchResult, MatchedLog
from hookfarm.delivery_queue.job import Job
from hookfarm.event_stream import Checkpoint
from hookfarm.store import keys
from hookfarm.store.clients import async_client, command_client
from tests.support.delivery import CHAIN_ID

BLOCK = Checkpoint(1, "0x" + "b1" * 32)


def name(endpoint: str) -> str:
    return f"{endpoint}:{CHAIN_ID}:1::"


def start(client: Any, endpoint: str) -> None:
    """Store a backfill of the endpoint that is before its first block."""
    facts: dict[str, str | int] = {"endpoint": endpoint, "chain_id": CHAIN_ID, "subscription": ""}
    state.start(client, name(endpoint), {**facts, "from_block": 1, "to_block": 9})


def submit(redis_url: str, endpoint: str, batch: Batch, *, lock: bool = False) -> BatchResult:
    async def run() -> BatchResult:
        async with async_client(redis_url) as client:
            return await job_queue.submit(client, name(endpoint), endpoint, CHAIN_ID, batch, lock=lock)

    return asyncio.run(run())


def lock(redis_url: str, endpoint: str) -> None:
    """Lock the endpoint, like its running backfill."""

    async def run() -> None:
        async with async_client(redis_url) as client:
            await job_queue.lock_endpoint(client, name(endpoint), endpoint)

    asyncio.run(run())


def fill(redis_url: str, endpoint: str, jobs: Sequence[Job]) -> int:
    """Submit the jobs as one block of the endpoint's backfill; return the number of new ones."""
    with command_client(redis_url) as client:
        start(client, endpoint)
    wanted = [MatchedLog((BackfillJob(job),)) for job in jobs]
    result, added = submit(redis_url, endpoint, Batch(None, BLOCK, 1, len(jobs), wanted))
    assert result == "done", result
    return added


def next_batch(jobs: Sequence[Job]) -> Batch:
    """Return the batch of the block after that of `fill`."""
    return Batch(
        BLOCK,
        Checkpoint(BLOCK.number + 1, "0xb2"),
        1,
        len(jobs),
        [MatchedLog((BackfillJob(job),)) for job in jobs],
    )


def queued_ids(client: Any, endpoint: str) -> list[str]:
    """Return the ids of the jobs in the backfill queue, the next one first."""
    return [job_id.decode() for job_id in client.zrange(keys.BACKFILL_QUEUE + endpoint, 0, -1)]
