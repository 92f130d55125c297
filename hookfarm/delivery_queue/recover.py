"""What a farm does for the jobs of all: finds those that were popped and are in nobody's hands, and wakes those
whose time has come."""

from collections.abc import Sequence
from enum import StrEnum

import redis

from hookfarm.delivery_queue.job import ClaimedJob, decode, decode_stored
from hookfarm.store import keys
from hookfarm.store.clients import Argument, PipelinedConnection, ResponseError, parse_integer
from hookfarm.store.scripts import Script

MAX_ORPHANED = 5
"""How many workers a job may cost before it is taken for the cause."""
HOLDER_SILENT_MILLISECONDS = 45_000

_HOLD = Script("hold")
_REQUEUE = Script("requeue", "facts", "places", "ledger")
_PROMOTE = Script("promote", "facts", "places", "ledger")


def hold(
    client: "redis.Redis", holder: str, watermark: int, held: Sequence[int], workers: int
) -> list[tuple[str, int]]:
    """Publishes what the farm `holder` and its `workers` have in hand; returns orphans, (id, sequence), a batch at
    most.

    `watermark`: every open job with a smaller sequence had been popped, and what of it this farm's workers have
    is in `held`. A job below the smallest watermark of all farms and held by none is an orphan. A farm that
    has not said anything for 45 s is taken for dead.
    """
    arguments: list[Argument] = [holder, watermark, workers, HOLDER_SILENT_MILLISECONDS, *held]
    found = _HOLD.call(client, (), arguments)
    return [
        (job_id.decode("utf-8", "backslashreplace"), int(float(score)))
        for job_id, score in zip(found[::2], found[1::2], strict=True)
    ]


def holders(client: "redis.Redis") -> list[str]:
    """The farms that have published what they hold and not withdrawn it."""
    return [name.decode() if isinstance(name, bytes) else name for name in client.hkeys(keys.HELD_BY_FARM)]


def release(client: "redis.Redis", holder: str) -> None:
    """The farm `holder` has nothing in hand any more."""
    client.hdel(keys.HELD_BY_FARM, holder)


class Orphan(StrEnum):
    """What becomes of one."""

    QUEUED = "open"
    """It is in the list again."""
    DEAD = "dead"
    """It has cost too many workers."""


def requeue_orphan(client: "redis.Redis", job_id: str, sequence: int) -> Orphan | None:
    """Puts an orphan back into the list, or buries it if it has cost too many workers. None = it was settled."""
    arguments = _orphaned(client.hget(keys.JOBS, job_id), job_id, sequence)
    return Orphan(arguments[3]) if arguments and _REQUEUE.call(client, (), arguments) else None


def requeue_held(connection: PipelinedConnection, sequence: int) -> list[str]:
    """As `requeue_orphan`, for what a worker that is known to be dead held under `sequence`; returns its ids."""
    [found] = connection.execute(("ZRANGEBYSCORE", keys.OPEN, sequence, sequence))
    if isinstance(found, ResponseError):
        raise found
    requeued: list[str] = []
    for name in found:
        job_id = name.decode("utf-8", "backslashreplace")
        [job] = connection.execute(("HGET", keys.JOBS, job_id))
        arguments = _orphaned(job, job_id, sequence)
        if arguments and _REQUEUE.call_raw(connection, (), arguments):
            requeued.append(job_id)
    return requeued


def _orphaned(job: object, job_id: str, sequence: int) -> tuple[str, int, bytes, Orphan, str] | None:
    """What `requeue` is told: the job with one more worker to its account. None where there is no such job."""
    claimed = decode_stored(job)
    if claimed is None:
        return None
    counted = claimed.header.get("orphaned", 0)
    orphaned = (counted if isinstance(counted, int) else 0) + 1
    dead = orphaned > MAX_ORPHANED
    changes = {"orphaned": orphaned, **({"reason": "worker_lost"} if dead else {})}
    return (
        job_id,
        sequence,
        claimed.with_fields(**changes),
        Orphan.DEAD if dead else Orphan.QUEUED,
        claimed.endpoint,
    )


def watermark(client: "redis.Redis") -> int | None:
    """The sequence of the next job to be popped; None while that is somebody else's element.

    So is one with a sequence that was never given out, however much it looks like ours: everything in the list
    would be taken for popped.
    """
    with client.pipeline(transaction=True) as pipe:
        pipe.lindex(keys.DELIVERY_QUEUE, -1)
        pipe.get(keys.SEQUENCE)
        tail, last = pipe.execute()
    newest = parse_integer(keys.SEQUENCE, last)
    if tail is None:
        return newest + 1
    claimed = decode(tail)
    return claimed.sequence if isinstance(claimed, ClaimedJob) and claimed.sequence <= newest else None


def promote(client: "redis.Redis", most: int = 1000) -> int:
    """Puts the jobs whose retry is due back into the list, or parks them where the window is full; returns how
    many there were.

    Windows that wait for their time, a circuit's next probe or a rate, are looked at too, and all lanes.
    """
    return int(_PROMOTE.call(client, (), (most,)))
