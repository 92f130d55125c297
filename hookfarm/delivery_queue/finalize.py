"""Logs stored until their block is final, and the jobs that follow then.

A log that is awaited is stored once, beside its history; only a processor can make its jobs. So it is read here,
made into jobs, and enqueued in one script, which does nothing for a log that was removed or handled by another
processor meanwhile. After a crash in between the next look finds it again.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from hookfarm.delivery_queue.job import Job
from hookfarm.store import keys
from hookfarm.store.clients import Argument, PipelinedConnection, Reply, ResponseError
from hookfarm.store.scripts import Script

LOG_BATCH_SIZE = 100

_FINALIZE = Script("finalize")


class StoredLog(NamedTuple):
    """A log (or transfer) of a block; `position` and `history` as in HistoryUpdate, `event` as in
    StoredUntilFinal."""

    position: str
    history: str
    event: bytes


class FollowUp(NamedTuple):
    """A job that is sent after the delivery `original` has ended; at once if there is none ('')."""

    job: Job
    original: str


class FinalityUpdate(NamedTuple):
    """A final log: its history before and after ('' = no change), and its `finalized` jobs."""

    position: str
    before: str
    after: str
    jobs: tuple[FollowUp, ...]


def read_stored_logs(connection: PipelinedConnection, block: str) -> Iterator[list[StoredLog]]:
    """Yield the stored logs of a block in batches that fit one script; one empty list if there are none.

    `block` is `<chain>:<block hash>`. A log may be gone by the time its batch is read.
    """
    awaiting, histories = keys.UNFINALIZED_LOGS + block, keys.HISTORY + block
    [logs] = _execute(connection, ("HKEYS", awaiting))
    if not logs:
        yield []
    for start in range(0, len(logs), LOG_BATCH_SIZE):
        batch = logs[start : start + LOG_BATCH_SIZE]
        events, texts = _execute(connection, ("HMGET", awaiting, *batch), ("HMGET", histories, *batch))
        found = zip(batch, texts, events, strict=True)
        yield [
            StoredLog(position.decode(), (text or b"").decode(), event)
            for position, text, event in found
            if event is not None
        ]


def finalize(connection: PipelinedConnection, block: str, updates: Sequence[FinalityUpdate]) -> int:
    """Enqueue the jobs of these logs; returns how many. The block is done when no stored log is left."""
    chain_id, _, block_hash = block.partition(":")
    arguments: list[Argument] = [chain_id, block_hash]
    for update in updates:
        arguments += [update.position, update.before, update.after, len(update.jobs)]
        for job, original in update.jobs:
            arguments += [job.endpoint, job.id, job.encoded(), original]
    return int(_FINALIZE.call_raw(connection, (), arguments))


def _execute(connection: PipelinedConnection, *commands: tuple[Argument, ...]) -> list[Reply]:
    replies = connection.execute(*commands)
    for reply in replies:
        if isinstance(reply, ResponseError):
            raise reply
    return replies
