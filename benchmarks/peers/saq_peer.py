"""SAQ: many concurrent jobs per process, without results."""

import asyncio
from collections.abc import Sequence
from typing import Any

from async_post import post
from redis.asyncio import Redis
from saq import Job
from saq.queue.redis import RedisQueue
from webhook import CONCURRENCY, REDIS_URL, Task

BATCH_TASKS = 200
queue = RedisQueue(Redis.from_url(REDIS_URL), name="webhooks", max_concurrent_ops=100)


async def deliver(_: Any, *, url: str, webhook_id: str, body: str) -> None:
    await post(url, webhook_id, body)


settings = {"queue": queue, "functions": [("deliver", deliver)], "concurrency": CONCURRENCY}


def enqueue(tasks: Sequence[Task]) -> None:
    asyncio.run(_enqueue(tasks))


async def _enqueue(tasks: Sequence[Task]) -> None:
    await queue.connect()
    for start in range(0, len(tasks), BATCH_TASKS):
        batch = tasks[start : start + BATCH_TASKS]
        await asyncio.gather(*(queue.enqueue(_job(*task)) for task in batch))
    await queue.disconnect()


def _job(url: str, webhook_id: str, body: str) -> Job:
    arguments = {"url": url, "webhook_id": webhook_id, "body": body}
    return Job("deliver", key=webhook_id, kwargs=arguments, ttl=-1, timeout=60)
