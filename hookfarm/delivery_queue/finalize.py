"""Logs stored until their block is final, and their `finalized` jobs.

A log that awaits finality is stored once, beside its history. A processor reads it from here and makes its jobs.
One script then enqueues the jobs, unless the log was removed or another processor has handled it meanwhile.
If the processor crashes in between, the log is still stored and is read again.
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
    """A stored log or transfer.

    `position` and `history` are those of HistoryUpdate; `event` is `stored` of StoredUntilFinal.
    """

    position: str
    history: str
    event: bytes


class FollowUp(NamedTuple):
    """A job that is sent after the delivery `original` has ended; at once if `original` is ''."""

    job: Job
    original: str


class FinalityUpdate(NamedTuple):
    """A final log: its history before and after ('' = no change), and its `finalized` jobs."""

    position: str
    before: str
    after: str
    jobs: tuple[FollowUp, ...]


def read_stored_logs(connection: PipelinedConnection, block: str) -> Iterator[list[StoredLog]]:
    """Yield the stored logs of a block in batches, each for one call of `finalize`.

    Yields one empty batch if the block has no stored logs. `block` is `<chain>:<block hash>`. A log that is
    deleted meanwhile is left out.
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
    """Enqueue the jobs of final logs; return their number.

    After the last stored log of a block, remove the block from the blocks that await finality.
    """
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
