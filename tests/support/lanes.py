"""Jobs in a lane, put there as a backfill does."""

import asyncio
from collections.abc import Sequence
from typing import Any

from hookfarm.backfill import job_queue, state
from hookfarm.backfill.job_queue import HandedOver, Piece, Placed, Wanted
from hookfarm.delivery_queue.job import Job
from hookfarm.event_stream import Checkpoint
from hookfarm.store import keys
from hookfarm.store.clients import async_client, command_client
from tests.support.delivery import CHAIN_ID

BLOCK = Checkpoint(1, "0xb1")


def name(endpoint: str) -> str:
    return f"{endpoint}:{CHAIN_ID}:1::"


def begin(client: Any, endpoint: str) -> None:
    """A backfill of the endpoint that stands before its first block."""
    facts: dict[str, str | int] = {"endpoint": endpoint, "chain_id": CHAIN_ID, "subscription": ""}
    state.begin(client, name(endpoint), {**facts, "from_block": 1, "to_block": 9})


def hand_over(redis_url: str, endpoint: str, piece: Piece, *, hold: bool = False) -> HandedOver:
    async def run() -> HandedOver:
        async with async_client(redis_url) as client:
            return await job_queue.hand_over(client, name(endpoint), endpoint, CHAIN_ID, piece, hold=hold)

    return asyncio.run(run())


def hold(redis_url: str, endpoint: str) -> None:
    """What the endpoint's backfill does while it runs."""

    async def run() -> None:
        async with async_client(redis_url) as client:
            await job_queue.hold(client, name(endpoint), endpoint)

    asyncio.run(run())


def fill(redis_url: str, endpoint: str, jobs: Sequence[Job]) -> int:
    """Into the endpoint's lane, as what one block of a backfill became; how many were not known."""
    with command_client(redis_url) as client:
        begin(client, endpoint)
    wanted = [Wanted((Placed(job),)) for job in jobs]
    result, added = hand_over(redis_url, endpoint, Piece(None, BLOCK, 1, len(jobs), wanted))
    assert result == "done", result
    return added


def piece_behind(jobs: Sequence[Job]) -> Piece:
    """What the block behind that of `fill` became."""
    return Piece(
        BLOCK, Checkpoint(BLOCK.number + 1, "0xb2"), 1, len(jobs), [Wanted((Placed(job),)) for job in jobs]
    )


def in_lane(client: Any, endpoint: str) -> list[str]:
    """The ids of the jobs in the lane, the next to leave it first."""
    return [job_id.decode() for job_id in client.zrange(keys.BACKFILL_QUEUE + endpoint, 0, -1)]
