"""Blocks -> the jobs that they become for one endpoint, under the ids and with the bodies of live delivery.

What was told of a log is looked up first: an endpoint that was told is not told again, and a log that was taken
back and came again has another id. Of a log that may still be taken back it is noted that the endpoint is told of
it; one that is not final yet is kept until it is, where the endpoint wants to know. A transfer fares as a log.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

import redis

from hookfarm.backfill.chain_view import ChainView
from hookfarm.backfill.job_queue import Placed, Wanted
from hookfarm.chain.block import Block
from hookfarm.delivery_queue import EntryResult, FollowUp, HistoryUpdate
from hookfarm.event_stream import Entry
from hookfarm.matching import history, notifications
from hookfarm.matching.entry import read_event
from hookfarm.matching.history import History
from hookfarm.matching.index import Index
from hookfarm.store import keys

_OLDER_THAN_ANY_ENTRY = b"0-0"
"""What the stream says of a log counts more than what a backfill does."""


class Selected(NamedTuple):
    """In the order of the chain. `told`: how many more logs match, of which the endpoint was told before."""

    wanted: list[Wanted]
    told: int


async def select(
    client: "redis.asyncio.Redis", chain_id: int, index: Index, blocks: Sequence[Block], view: ChainView
) -> Selected:
    """What the endpoint wants of these blocks, and was not told yet."""
    entries = [(block.header.number, entry) for block in blocks for entry in _entries(chain_id, block)]
    results = [(number, notifications.process_entry(index, entry)) for number, entry in entries]
    matched = [(number, each) for number, each in results if each is not None and each.history is not None]
    histories = await _told(client, [each for _, each in matched])
    found: list[Wanted] = []
    for (number, each), before in zip(matched, histories, strict=True):
        result = notifications.process_entry(index, each.entry, before) if before else each
        assert result is not None  # Its log has a history.
        wanted = _wanted(index, result, number, view)
        found += [wanted] if wanted else []
    return Selected(found, len(matched) - len(found))


def _entries(chain_id: int, block: Block) -> list[Entry]:
    return [Entry(chain_id, _OLDER_THAN_ANY_ENTRY, event) for event in block.entries]


async def _told(client: "redis.asyncio.Redis", matched: Iterable[EntryResult]) -> list[str]:
    """What was told of each log so far."""
    async with client.pipeline(transaction=False) as pipe:
        for each in matched:
            assert each.history is not None
            pipe.hget(keys.HISTORY + each.history.block, str(each.history.position))
        return [(before or b"").decode() for before in await pipe.execute()]


def _wanted(index: Index, handled: EntryResult, number: int, view: ChainView) -> Wanted | None:
    """Nothing where there is nothing new to tell, now or later."""
    log, unfinalized = handled.history, handled.awaits_finality
    assert log is not None
    jobs = [Placed(job) for job in handled.jobs]
    jobs += [Placed(each.job, None if view.has_reached(each) else each) for each in handled.unconfirmed]
    if view.is_final(number):
        jobs += [Placed(job, None, original) for job, original in _final(index, handled)]
        unfinalized = None
    is_noted = not view.is_past(number) or _awaits_finality(log, number, view)
    is_new = log.after not in ("", log.before)
    if not jobs and not (is_noted and is_new):
        return None
    return Wanted(tuple(jobs), log if is_noted else None, unfinalized)


def _awaits_finality(log: HistoryUpdate, number: int, view: ChainView) -> bool:
    """A block may be too deep for a reorg long before it is final."""
    after = None if view.is_final(number) else History.decode(log.after)
    return after is not None and after.awaits_finality


def _final(index: Index, handled: EntryResult) -> tuple[FollowUp, ...]:
    """What says that the log is final to whom is told of it only now."""
    assert handled.history is not None
    before, after = History.decode(handled.history.before), History.decode(handled.history.after)
    if after is None or not after.awaits_finality:
        return ()
    known = () if before is None else before.receivers
    new = tuple(receiver for receiver in after.receivers if receiver not in known)
    return notifications.follow_ups(
        index, read_event(handled.entry), history.on_finalized(replace(after, receivers=new))
    )
