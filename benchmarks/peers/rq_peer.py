"""RQ: a worker pool of SimpleWorkers, which don't fork for each job, without results."""

from collections.abc import Sequence

from redis import Redis
from rq import Queue
from sync_post import post
from webhook import REDIS_URL, Task

BATCH_TASKS = 1000


def deliver(url: str, webhook_id: str, body: str) -> None:
    post(url, webhook_id, body)


def enqueue(tasks: Sequence[Task]) -> None:
    queue = Queue("webhooks", connection=Redis.from_url(REDIS_URL))
    for start in range(0, len(tasks), BATCH_TASKS):
        batch = tasks[start : start + BATCH_TASKS]
        queue.enqueue_many([Queue.prepare_data("rq_peer.deliver", task, result_ttl=0) for task in batch])
