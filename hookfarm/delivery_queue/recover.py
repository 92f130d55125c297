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
"""Workers that a job may cost before it is taken for the cause."""
FARM_TIMEOUT_MS = 45_000
"""A farm that has published nothing for this long is taken for dead."""

_SWEEP = Script("sweep")
_REQUEUE = Script("requeue")
_TICK = Script("tick")
_REPAIR_POOL = Script("repair_pool")
_STALE = b"stale"


@dataclass(frozen=True)
class FarmLimits:
    """How many jobs may be in flight."""

    capacity: int
    """In all workers of a farm."""
    max_in_flight: int
    """Of an endpoint without a max_in_flight of its own."""


class Sweeping(NamedTuple):
    """Result of `sweep`."""

    watermark: int | None
    """The sequence of the next element to be popped; None if that is foreign."""
    orphans: list[tuple[str, int]]
    """A batch of jobs, (id, sequence), below the smallest watermark of all farms and held by none."""
    suspects: frozenset[int]
    """Sequences of jobs that have been popped and that no farm shows as held."""


def sweep(client: Client, farm: str, watermark: int, held: Sequence[int], limits: FarmLimits) -> Sweeping:
    """Publish the sequences of the jobs that the farm's workers hold, and look for orphans.

    `watermark`: every open job with a smaller sequence has been popped, and those popped by this farm's workers
    are in `held`.
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
    """Return the farms that have published what they hold, and not cleared it."""
    return [name.decode() if isinstance(name, bytes) else name for name in client.hkeys(keys.HELD_BY_FARM)]


def clear_held(client: Client, farm: str) -> None:
    """Publish that the farm holds no job any more."""
    client.hdel(keys.HELD_BY_FARM, farm)


class OrphanState(StrEnum):
    """State into which an orphan was moved."""

    QUEUED = "open"
    """It is in the list again."""
    DEAD = "dead"
    """It has cost too many workers."""


def requeue_orphan(client: Client, job_id: str, sequence: int) -> OrphanState | None:
    """Put an orphan back into the list; if it has cost too many workers, make it a dead letter.

    Returns None if it was settled or requeued in the meantime.
    """
    arguments = _requeue_arguments(client.hget(keys.JOBS, job_id), job_id, sequence)
    if arguments is None:
        return None
    result: bytes = _REQUEUE.call(client, (), arguments)
    return None if result == _STALE else OrphanState(result.decode())


def requeue_crashed(connection: PipelinedConnection, sequences: Sequence[int]) -> list[str]:
    """As `requeue_orphan`, for the jobs that a crashed worker held under `sequences`; return their ids."""
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
    """The arguments of requeue.lua, with one more lost worker in the job. Returns None if there is no such job."""
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
    """Count the open jobs of unproven endpoints anew; return how many counts were wrong."""
    return int(_REPAIR_POOL.call(client))


def tick(client: Client, max_jobs: int = 1000) -> int:
    """Put the jobs whose retry is due back into the list, or park them if the window is full; return how many.

    Windows whose timer is due (a circuit's next probe, a rate) and all backfill queues are looked at, too.
    """
    return int(_TICK.call(client, (), (max_jobs,)))
