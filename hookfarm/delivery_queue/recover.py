"""Recovery of jobs: requeue orphans, and open jobs whose retry is due."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from hookfarm.delivery_queue.job import decode_job
from hookfarm.store import keys
from hookfarm.store.clients import Argument, Client, PipelinedConnection, ResponseError
from hookfarm.store.scripts import Script

MAX_ORPHANED = 5
"""Maximum number of workers that die with a job before the job becomes a dead letter."""
FARM_TIMEOUT_MS = 45_000
"""A farm without a sweep for this time is considered dead."""

_SWEEP = Script("sweep")
_REQUEUE = Script("requeue")
_TICK = Script("tick")
_REPAIR_POOL = Script("repair_pool")
_STALE = b"stale"


@dataclass(frozen=True)
class FarmLimits:
    """Maximum numbers of jobs in flight."""

    capacity: int
    """Maximum of all workers of a farm together."""
    max_in_flight: int
    """Maximum of an endpoint whose `max_in_flight` is null."""


class Sweeping(NamedTuple):
    """Result of `sweep`."""

    watermark: int | None
    """Sequence of the next element to be popped; None if the element is foreign."""
    orphans: list[tuple[str, int]]
    """A batch of orphans, as (id, sequence)."""
    suspects: frozenset[int]
    """Sequences of popped jobs that no farm holds."""


def sweep(client: Client, farm: str, watermark: int, held: Sequence[int], limits: FarmLimits) -> Sweeping:
    """Publish the sequences of the jobs that the farm's workers hold, and search for orphans.

    `watermark` is that of the farm's last finished round: every open job below it has been popped. `held` must
    contain each of these jobs that a worker of this farm popped and has not settled.
    """
    sequences = " ".join(map(str, held))
    limited = (limits.capacity, limits.max_in_flight, FARM_TIMEOUT_MS)
    now, orphans, suspects = _SWEEP.call(client, (), (farm, watermark, *limited, sequences))
    pairs = zip(orphans[::2], orphans[1::2], strict=True)
    return Sweeping(
        int(now) if now else None,
        [(_decode_id(job_id), int(float(score))) for job_id, score in pairs],
        frozenset(int(float(score)) for score in suspects),
    )


def farms(client: Client) -> list[str]:
    """Return the names of farms with published held jobs."""
    return [name.decode() if isinstance(name, bytes) else name for name in client.hkeys(keys.HELD_BY_FARM)]


def clear_held(client: Client, farm: str) -> None:
    """Remove a farm's published held jobs."""
    client.hdel(keys.HELD_BY_FARM, farm)


class OrphanState(StrEnum):
    """State into which an orphan was moved."""

    QUEUED = "open"
    """Requeued."""
    DEAD = "dead"
    """A dead letter after more than MAX_ORPHANED lost workers."""


def requeue_orphan(client: Client, job_id: str, sequence: int) -> OrphanState | None:
    """Requeue an orphan; after more than MAX_ORPHANED lost workers, make it a dead letter.

    Returns None if it was settled or requeued in the meantime.
    """
    arguments = _requeue_arguments(client.hget(keys.JOBS, job_id), job_id, sequence)
    if arguments is None:
        return None
    result: bytes = _REQUEUE.call(client, (), arguments)
    return None if result == _STALE else OrphanState(result.decode())


def requeue_crashed(connection: PipelinedConnection, sequences: Sequence[int]) -> list[str]:
    """Requeue the jobs that a crashed worker held, given their sequences; return the ids of requeued jobs."""
    requeued: list[str] = []
    for sequence in sequences:
        [found] = connection.execute(("ZRANGEBYSCORE", keys.OPEN, sequence, sequence))
        if isinstance(found, ResponseError):
            raise found
        requeued += [job_id for job_id in map(_decode_id, found) if _requeue_held(connection, job_id, sequence)]
    return requeued


def _requeue_held(connection: PipelinedConnection, job_id: str, sequence: int) -> bool:
    [job] = connection.execute(("HGET", keys.JOBS, job_id))
    arguments = _requeue_arguments(job, job_id, sequence)
    return arguments is not None and _REQUEUE.call_raw(connection, (), arguments) != _STALE


def _decode_id(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")


def _requeue_arguments(stored: object, job_id: str, sequence: int) -> tuple[Argument, ...] | None:
    """Return the arguments of requeue.lua, with one more lost worker in the job.

    Returns None if the job is missing or damaged.
    """
    job = decode_job(stored)
    if job is None:
        return None
    counted = job.header.get("orphaned", 0)
    orphaned = (counted if isinstance(counted, int) else 0) + 1
    if orphaned > MAX_ORPHANED:
        return (
            job_id,
            sequence,
            job.with_fields(orphaned=orphaned, reason="worker_lost"),
            OrphanState.DEAD,
            job.endpoint,
        )
    return job_id, sequence, job.with_fields(orphaned=orphaned), OrphanState.QUEUED, job.endpoint


def repair_pool(client: Client) -> int:
    """Recount the open jobs of unproven endpoints; return the number of corrected counts."""
    return int(_REPAIR_POOL.call(client))


def tick(client: Client, max_jobs: int = 1000) -> int:
    """Open or park jobs whose retry is due; return the number of these jobs.

    Also fill windows whose timer is due (next probe of an open circuit, rate limit), and drain backfill queues.
    """
    return int(_TICK.call(client, (), (max_jobs,)))
