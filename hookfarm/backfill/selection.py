"""Blocks -> the jobs that they become for one endpoint, under the ids and with the bodies of live delivery.

What was told of a log is looked up first: an endpoint that was told is not told again, and a log that was taken
back and came again has another id. Of a log that may still be taken back it is noted that the endpoint is told of
it.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import orjson
import redis

from hookfarm import keys
from hookfarm.backfill.chain_view import ChainView
from hookfarm.chain.block import Block
from hookfarm.delivery_queue import Handled
from hookfarm.delivery_queue.lane import Wanted
from hookfarm.event_stream import Entry
from hookfarm.message_processor.fan_out import handle
from hookfarm.message_processor.matcher import Index
from hookfarm.records import Event

_OLDER_THAN_ANY_ENTRY = b"0-0"
"""What the stream says of a log counts more than what a backfill does."""


class Selected(NamedTuple):
    """In the order of the chain. `told`: how many more logs match, of which the endpoint was told before."""

    wanted: list[Wanted]
    told: int


async def select(
    client: "redis.asyncio.Redis", index: Index, blocks: Sequence[Block], view: ChainView
) -> Selected:
    """What the endpoint wants of these blocks, and was not told yet."""
    events = [event for block in blocks for event in block.events]
    handled = [(event, handle(index, _entry(event))) for event in events]
    matched = [(event, each) for event, each in handled if each.log is not None]
    histories = await _told(client, [each for _, each in matched])
    found: list[Wanted] = []
    for (event, each), before in zip(matched, histories, strict=True):
        told = handle(index, each.entry, before) if before else each
        found += _wanted(told, view, note=not view.is_past(event["block_number"]))
    return Selected(found, len(matched) - len(found))


def _entry(event: Event) -> Entry:
    return Entry(event["chain_id"], _OLDER_THAN_ANY_ENTRY, orjson.dumps(event))


async def _told(client: "redis.asyncio.Redis", matched: Iterable[Handled]) -> list[str]:
    """What was told of each log so far."""
    async with client.pipeline(transaction=False) as pipe:
        for each in matched:
            assert each.log is not None
            pipe.hget(keys.SENT + each.log.block, str(each.log.log_index))
        return [(before or b"").decode() for before in await pipe.execute()]


def _wanted(handled: Handled, view: ChainView, *, note: bool) -> list[Wanted]:
    log = handled.log if note else None
    at_once = [Wanted(job, None, log) for job in handled.jobs]
    later = [Wanted(each.job, None if view.has_reached(each) else each, log) for each in handled.waiting]
    return at_once + later
