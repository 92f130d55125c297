"""Selection of one endpoint's jobs from blocks, with the ids and bodies of live delivery.

The history of each log is read first: nothing is sent twice, and a log that was removed and returned has a new id.
A log that a reorg may still remove enters the history. A log that awaits finality is stored until then, if the
endpoint wants a `finalized` notification. Transfers are treated like logs.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

import redis

from hookfarm.backfill.chain_view import ChainView
from hookfarm.backfill.job_queue import BackfillJob, MatchedLog
from hookfarm.backfill.plan import BackfillPlan
from hookfarm.chain.block import Block
from hookfarm.chain.filtered_reader import LogCriteria, build_criteria
from hookfarm.delivery_queue import EntryResult, FollowUp, HistoryUpdate
from hookfarm.event_stream import StreamEntry
from hookfarm.event_stream.event_json import read_event
from hookfarm.matching import history, notifications
from hookfarm.matching.filters import restrictions
from hookfarm.matching.history import History
from hookfarm.matching.index import Index
from hookfarm.store import keys

_BY_BLOOM = "bloom"
"""The setting `verify` with which a bloom is a proof, and its default."""
_OLDER_THAN_ANY_ENTRY = b"0-0"
"""Gives live entries precedence over those of a backfill."""


class Selection(NamedTuple):
    """Logs to deliver, in chain order, and the number of matching logs already delivered."""

    logs: list[MatchedLog]
    already_delivered: int


def log_criteria(plan: BackfillPlan) -> LogCriteria | None:
    """Return the criteria of all logs that the plan's subscriptions may match; None = all logs are read.

    They are if blooms are no proof on the chain, and for transfers, which need whole blocks.
    """
    if plan.wants_transfers or plan.chain.verify not in (None, _BY_BLOOM):
        return None
    return build_criteria([restrictions(each) for each in plan.endpoint.subscriptions])


async def select(
    client: redis.asyncio.Redis, chain_id: int, index: Index, blocks: Sequence[Block], view: ChainView
) -> Selection:
    """Return the matching logs of these blocks that were not sent to the endpoint yet."""
    entries = [(block.header.number, entry) for block in blocks for entry in _entries(chain_id, block)]
    results = [(number, notifications.process_entry(index, entry)) for number, entry in entries]
    matched = [(number, each) for number, each in results if each is not None and each.history is not None]
    histories = await _histories(client, [each for _, each in matched])
    found: list[MatchedLog] = []
    for (number, each), before in zip(matched, histories, strict=True):
        result = notifications.process_entry(index, each.entry, before) if before else each
        assert result is not None  # A log with a history has a result.
        log = _matched_log(index, result, number, view)
        found += [log] if log else []
    return Selection(found, len(matched) - len(found))


def _entries(chain_id: int, block: Block) -> list[StreamEntry]:
    return [StreamEntry(chain_id, _OLDER_THAN_ANY_ENTRY, event) for event in block.entries]


async def _histories(client: redis.asyncio.Redis, matched: Iterable[EntryResult]) -> list[str]:
    async with client.pipeline(transaction=False) as pipe:
        for each in matched:
            assert each.history is not None
            pipe.hget(keys.HISTORY + each.history.block, str(each.history.position))
        return [(before or b"").decode() for before in await pipe.execute()]


def _matched_log(index: Index, result: EntryResult, number: int, view: ChainView) -> MatchedLog | None:
    """Return the log and its jobs; None if there is nothing to deliver, now or later."""
    log, awaits_finality = result.history, result.awaits_finality
    assert log is not None
    jobs = [BackfillJob(job) for job in result.jobs]
    jobs += [BackfillJob(each.job, None if view.has_reached(each) else each) for each in result.unconfirmed]
    if view.is_final(number):
        jobs += [BackfillJob(job, None, original) for job, original in _final(index, result)]
        awaits_finality = None
    needs_history = not view.is_past(number) or _awaits_finality(log, number, view)
    is_new = log.after not in ("", log.before)
    if not jobs and not (needs_history and is_new):
        return None
    return MatchedLog(tuple(jobs), log if needs_history else None, awaits_finality)


def _awaits_finality(log: HistoryUpdate, number: int, view: ChainView) -> bool:
    """Return whether a log awaits finality, possibly long after its block is too deep for a reorg."""
    after = None if view.is_final(number) else History.decode(log.after)
    return after is not None and after.awaits_finality


def _final(index: Index, result: EntryResult) -> tuple[FollowUp, ...]:
    """Return the `finalized` notifications for endpoints without an earlier notification of the log."""
    assert result.history is not None
    before, after = History.decode(result.history.before), History.decode(result.history.after)
    if after is None or not after.awaits_finality:
        return ()
    known = () if before is None else before.receivers
    new = tuple(receiver for receiver in after.receivers if receiver not in known)
    return notifications.follow_ups(
        index, read_event(result.entry), history.on_finalized(replace(after, receivers=new))
    )
