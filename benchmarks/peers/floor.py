"""Floor: BRPOP, POST and ZREM in a bare loop in many processes, without retries or bookkeeping."""

import json
import os
from collections.abc import Sequence
from typing import Any

import redis
from sync_post import post
from webhook import CONCURRENCY, REDIS_URL, Task

QUEUE, LEDGER = "floor:queue", "floor:ledger"
BATCH_TASKS = 1000


def enqueue(tasks: Sequence[Task]) -> None:
    client = redis.Redis.from_url(REDIS_URL)
    for start in range(0, len(tasks), BATCH_TASKS):
        batch = tasks[start : start + BATCH_TASKS]
        pipeline: Any = client.pipeline(transaction=False)
        pipeline.zadd(LEDGER, {webhook_id: start + at for at, (_, webhook_id, _) in enumerate(batch)})
        pipeline.lpush(QUEUE, *(json.dumps(task) for task in batch))
        pipeline.execute()


def work() -> None:
    client = redis.Redis.from_url(REDIS_URL)
    while True:
        popped: Any = client.brpop([QUEUE], timeout=5)
        if popped:
            url, webhook_id, body = json.loads(popped[1])
            post(url, webhook_id, body)
            client.zrem(LEDGER, webhook_id)


def main() -> None:
    """Fork the processes and wait for them."""
    for _ in range(CONCURRENCY):
        if os.fork() == 0:
            work()
    os.wait()


if __name__ == "__main__":
    main()
