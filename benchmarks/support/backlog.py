"""Backlog: jobs that are queued before the farm starts."""

from support.redis_server import RedisServer
from support.waiting import until
from support.webhooks import Enqueuer

BATCH_JOBS = 5000


def fill(server: RedisServer, enqueuer: Enqueuer, jobs: int) -> int:
    """Enqueue jobs and wait until the server has settled; return the mean size of a body in bytes."""
    total = 0
    for start in range(0, jobs, BATCH_JOBS):
        prepared = enqueuer.prepare(min(BATCH_JOBS, jobs - start))
        enqueuer.enqueue(prepared)
        total += sum(len(job.body) for _, job in prepared)
    settle(server)
    return round(total / jobs) if jobs else 0


def settle(server: RedisServer) -> None:
    """Wait until no rewrite of the append-only file is under way."""
    until(server.settled, "the rewrite of the append-only file", within_seconds=300)
