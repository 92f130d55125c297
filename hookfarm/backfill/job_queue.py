"""The backfill queue of an endpoint: jobs that enter the ledger only if live ones leave room for them.

A backfill has a position, a block. The jobs of its next blocks and its new position are stored by one script, so
that a SIGKILL loses nothing and repeats nothing: the same command continues from the position.
store/lua/shared/backfill_queue.lua describes how the queue is emptied.
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
"""How long a backfill is remembered after its last heartbeat."""

LOCK_SECONDS = 10.0
"""How long an ordered endpoint stays locked after the last heartbeat."""

MAX_REASON_CHARACTERS = 300

_SUBMIT = Script("submit_backfill")
_LOCK = Script("lock_endpoint")
_HEARTBEAT = Script("backfill_heartbeat")


class BackfillJob(NamedTuple):
    """A job to be added to a backfill queue, and what it waits for.

    `unconfirmed`: it waits for a block first. If the delivery `original` is still to come, it is sent after that.
    """

    job: Job
    unconfirmed: UnconfirmedJob | None = None
    original: str = ""


class MatchedLog(NamedTuple):
    """One log that the endpoint subscribes to, and its jobs in their order.

    `history` is its new history, None = it needs none; `awaits_finality` as in EntryResult. A log
    without a job has one later.
    """

    jobs: tuple[BackfillJob, ...]
    history: HistoryUpdate | None = None
    awaits_finality: StoredUntilFinal | None = None


@dataclass(frozen=True)
class Batch:
    """Some blocks of a backfill; `position` is the last of them.

    `already_delivered`: so many more of their logs the endpoint was sent before. `checked`: `position` must be a
    block that the ingestor published.
    """

    position_before: Checkpoint | None
    position: Checkpoint
    blocks: int
    events: int
    logs: Sequence[MatchedLog] = ()
    already_delivered: int = 0
    checked: bool = False
    is_last: bool = False


class BatchResult(NamedTuple):
    """The result of submitting a batch: the script's `result`, `done` if all went well, and its number."""

    result: str
    number: int


async def submit(
    client: redis.asyncio.Redis, name: str, endpoint: str, chain_id: int, batch: Batch, *, lock: bool = False
) -> BatchResult:
    """Add the jobs of a batch to the queue and move the backfill to its position, or do nothing.

    `lock`: only while the backfill has locked the endpoint, which is ordered.
    """
    arguments: list[Argument] = [
        *(
            name,
            endpoint,
            "" if batch.position_before is None else batch.position_before.encode(),
            batch.position.encode(),
        ),
        *(int(batch.checked), int(batch.is_last), batch.blocks, batch.events, batch.already_delivered),
        *(RETENTION_SECONDS, _lock_ms() if lock else 0),
    ]
    for log in batch.logs:
        arguments += _arguments(chain_id, log)
    touched = (keys.BACKFILL_STATE + name, keys.blocks(chain_id))
    result, number = await _SUBMIT.call_async(client, touched, arguments)
    return BatchResult(result.decode(), int(number))


async def lock_endpoint(client: redis.asyncio.Redis, name: str, endpoint: str) -> str:
    """Lock the endpoint for this backfill unless another one has; return the name of the holder."""
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
    """Record that the backfill runs, with its speed, or the reason why it makes no progress.

    Does nothing for a backfill that is done or removed.
    """
    speed = "" if blocks_per_second is None else f"{blocks_per_second:.2f}"
    await _HEARTBEAT.call_async(
        client, (keys.BACKFILL_STATE + name,), (name, speed, reason[:MAX_REASON_CHARACTERS])
    )


class BackfillPosition(NamedTuple):
    """The last block of a backfill, None = before the first, and the numbers of logs submitted and left out."""

    checkpoint: Checkpoint | None
    delivered_new: int
    already_delivered: int

    def is_before(self, other: Checkpoint | None) -> bool:
        return other is not None and (self.checkpoint is None or self.checkpoint.number < other.number)


async def read_position(client: redis.asyncio.Redis, name: str) -> BackfillPosition | None:
    """Return the position of a backfill; None if there is no such backfill."""
    fields = ["from_block", "at", "added", "known"]
    begun, at, added, known = await client.hmget(keys.BACKFILL_STATE + name, fields)
    if begun is None:
        return None
    return BackfillPosition(None if at is None else Checkpoint.decode(at), int(added or 0), int(known or 0))


async def queue_length(client: redis.asyncio.Redis, endpoint: str) -> int:
    """Return how many jobs are in the endpoint's backfill queue."""
    return int(await client.zcard(keys.BACKFILL_QUEUE + endpoint))
