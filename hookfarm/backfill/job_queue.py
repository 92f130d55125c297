"""The backfill queue of an endpoint: jobs that enter the ledger only while live ones leave room for them.

A backfill has a position, a block. One script stores the jobs of its next blocks together with its new position,
so a SIGKILL loses and repeats nothing: the same command continues from the position.
store/lua/shared/backfill_queue.lua describes how the queue is drained.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import redis

from hookfarm.delivery_queue.enqueue import HistoryUpdate, StoredUntilFinal, UnconfirmedJob
from hookfarm.delivery_queue.job import Job
from hookfarm.event_stream import Checkpoint
from hookfarm.store import keys
from hookfarm.store.clients import Argument
from hookfarm.store.scripts import Script

RETENTION_SECONDS = 30 * 86_400
"""Time after its last heartbeat until a backfill is deleted."""

LOCK_SECONDS = 10.0
"""Time after the last heartbeat until the lock of an ordered endpoint expires."""

MAX_REASON_CHARACTERS = 300

_SUBMIT = Script("submit_backfill")
_LOCK = Script("lock_endpoint")
_HEARTBEAT = Script("backfill_heartbeat")


class BackfillJob(NamedTuple):
    """A job for a backfill queue, and its preconditions.

    `unconfirmed`: it waits for a block first. `original`: if that delivery is pending, the job is sent after it.
    """

    job: Job
    unconfirmed: UnconfirmedJob | None = None
    original: str = ""


class MatchedLog(NamedTuple):
    """A matching log and its jobs in order.

    `history` is its new history; None = not needed. `awaits_finality` as in EntryResult. A log without jobs gets
    its first job later.
    """

    jobs: tuple[BackfillJob, ...]
    history: HistoryUpdate | None = None
    awaits_finality: StoredUntilFinal | None = None


@dataclass(frozen=True)
class Batch:
    """Some blocks of a backfill; `position` is the last of them.

    `logs_received` counts logs received from nodes since the batch before, `already_delivered` further matching
    logs that were sent earlier. `checked`: `position` must be a published block.
    """

    position_before: Checkpoint | None
    position: Checkpoint
    blocks: int
    logs_received: int
    logs: Sequence[MatchedLog] = ()
    already_delivered: int = 0
    checked: bool = False
    is_last: bool = False


class BatchResult(NamedTuple):
    """The result of submitting a batch: the script's `result` (`done` on success) and its number."""

    result: str
    number: int


async def submit(
    client: redis.asyncio.Redis, name: str, endpoint: str, chain_id: int, batch: Batch, *, lock: bool = False
) -> BatchResult:
    """Add the jobs of a batch to the queue and move the backfill to its position, or do nothing.

    `lock`: the endpoint is ordered, so the backfill must hold its lock.
    """
    arguments: list[Argument] = [
        *(
            name,
            endpoint,
            "" if batch.position_before is None else batch.position_before.encode(),
            batch.position.encode(),
        ),
        *(int(batch.checked), int(batch.is_last), batch.blocks, batch.logs_received, batch.already_delivered),
        *(RETENTION_SECONDS, _lock_ms() if lock else 0),
    ]
    for log in batch.logs:
        arguments += _arguments(chain_id, log)
    touched = (keys.BACKFILL_STATE + name, keys.blocks(chain_id))
    result, number = await _SUBMIT.call_async(client, touched, arguments)
    return BatchResult(result.decode(), int(number))


async def lock_endpoint(client: redis.asyncio.Redis, name: str, endpoint: str) -> str:
    """Lock the endpoint for this backfill unless it is locked; return the name of the lock's owner."""
    owner: bytes = await _LOCK.call_async(client, (), (endpoint, name, _lock_ms()))
    return owner.decode()


def _lock_ms() -> int:
    return int(LOCK_SECONDS * 1000)


def _arguments(chain_id: int, log: MatchedLog) -> list[Argument]:
    number, kept = log.awaits_finality or StoredUntilFinal(0, b"")
    arguments: list[Argument] = [*(log.history or HistoryUpdate("", 0, "", "")), number, kept, len(log.jobs)]
    for job, unconfirmed, original in log.jobs:
        place = "queue" if unconfirmed is None else f"{chain_id}:{unconfirmed.head} {unconfirmed.block}"
        arguments += [place, job.id, job.encoded(), original]
    return arguments


async def heartbeat(
    client: redis.asyncio.Redis, name: str, blocks_per_second: float | None = None, reason: str = ""
) -> None:
    """Record that the backfill runs, with its speed, or the reason for a lack of progress.

    Does nothing if the backfill is done or removed.
    """
    speed = "" if blocks_per_second is None else f"{blocks_per_second:.2f}"
    await _HEARTBEAT.call_async(
        client, (keys.BACKFILL_STATE + name,), (name, speed, reason[:MAX_REASON_CHARACTERS])
    )


class BackfillPosition(NamedTuple):
    """The last block of a backfill (None = before the first), and the numbers of submitted and omitted logs."""

    checkpoint: Checkpoint | None
    delivered_new: int
    already_delivered: int

    def is_before(self, other: Checkpoint | None) -> bool:
        return other is not None and (self.checkpoint is None or self.checkpoint.number < other.number)


async def read_position(client: redis.asyncio.Redis, name: str) -> BackfillPosition | None:
    """Return the position of a backfill; None if it does not exist."""
    fields = ["from_block", "at", "added", "known"]
    begun, at, added, known = await client.hmget(keys.BACKFILL_STATE + name, fields)
    if begun is None:
        return None
    return BackfillPosition(None if at is None else Checkpoint.decode(at), int(added or 0), int(known or 0))


async def queue_length(client: redis.asyncio.Redis, endpoint: str) -> int:
    """Return the number of jobs in the endpoint's backfill queue."""
    return int(await client.zcard(keys.BACKFILL_QUEUE + endpoint))
