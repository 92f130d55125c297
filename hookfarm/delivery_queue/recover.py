"""Recovery of jobs: requeue orphans, and open jobs whose retry is due."""

from collections.abc import Sequence
from enum import StrEnum

from hookfarm.delivery_queue.job import ClaimedJob, decode, decode_stored
from hookfarm.store import keys
from hookfarm.store.clients import Argument, Client, PipelinedConnection, ResponseError, parse_integer
from hookfarm.store.scripts import Script

MAX_ORPHANED = 5
"""Workers that a job may cost before it is taken for the cause."""
FARM_TIMEOUT_MS = 45_000
"""A farm that has published nothing for this long is taken for dead."""

_PUBLISH_HELD = Script("publish_held")
_REQUEUE = Script("requeue")
_TICK = Script("tick")
_STALE = b"stale"


def publish_held(
    client: Client, farm: str, watermark: int, held: Sequence[int], workers: int
) -> list[tuple[str, int]]:
    """Publish the sequences of the jobs that the farm's `workers` hold; return a batch of orphans, (id, sequence).

    `watermark`: every open job with a smaller sequence has been popped, and those popped by this farm's workers
    are in `held`. A job below the smallest watermark of all farms and held by none is an orphan.
    """
    arguments: list[Argument] = [farm, watermark, workers, FARM_TIMEOUT_MS, *held]
    found = _PUBLISH_HELD.call(client, (), arguments)
    return [
        (job_id.decode("utf-8", "backslashreplace"), int(float(score)))
        for job_id, score in zip(found[::2], found[1::2], strict=True)
    ]


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


def requeue_crashed(connection: PipelinedConnection, sequence: int) -> list[str]:
    """As `requeue_orphan`, for the job that a crashed worker held under `sequence`; return the ids of it."""
    [found] = connection.execute(("ZRANGEBYSCORE", keys.OPEN, sequence, sequence))
    if isinstance(found, ResponseError):
        raise found
    requeued: list[str] = []
    for name in found:
        job_id = name.decode("utf-8", "backslashreplace")
        [job] = connection.execute(("HGET", keys.JOBS, job_id))
        arguments = _requeue_arguments(job, job_id, sequence)
        if arguments and _REQUEUE.call_raw(connection, (), arguments) != _STALE:
            requeued.append(job_id)
    return requeued


def _requeue_arguments(stored: object, job_id: str, sequence: int) -> tuple[Argument, ...] | None:
    """The arguments of requeue.lua, with one more lost worker in the job. Returns None if there is no such job."""
    job = decode_stored(stored)
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


def read_watermark(client: Client) -> int | None:
    """Return the sequence of the next job to be popped; None if the next element is foreign.

    An element with a sequence that was never assigned is foreign, too, even if it looks like a job: otherwise all
    jobs in the list would be taken for popped.
    """
    with client.pipeline(transaction=True) as pipe:
        pipe.lindex(keys.DELIVERY_QUEUE, -1)
        pipe.get(keys.SEQUENCE)
        tail, last = pipe.execute()
    newest = parse_integer(keys.SEQUENCE, last)
    if tail is None:
        return newest + 1
    job = decode(tail)
    return job.sequence if isinstance(job, ClaimedJob) and job.sequence <= newest else None


def tick(client: Client, max_jobs: int = 1000) -> int:
    """Put the jobs whose retry is due back into the list, or park them if the window is full; return how many.

    Windows whose timer is due (a circuit's next probe, a rate) and all backfill queues are looked at, too.
    """
    return int(_TICK.call(client, (), (max_jobs,)))
