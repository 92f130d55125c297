"""taskiq: list broker, many concurrent tasks per process, without results."""

import asyncio
from collections.abc import Sequence

from async_post import post
from taskiq_redis import ListQueueBroker
from webhook import REDIS_URL, Task

BATCH_TASKS = 200
broker = ListQueueBroker(REDIS_URL, queue_name="webhooks")
deliver = broker.task(task_name="deliver")(post)


def enqueue(tasks: Sequence[Task]) -> None:
    asyncio.run(_enqueue(tasks))


async def _enqueue(tasks: Sequence[Task]) -> None:
    await broker.startup()
    for start in range(0, len(tasks), BATCH_TASKS):
        await asyncio.gather(*(deliver.kiq(*task) for task in tasks[start : start + BATCH_TASKS]))
    await broker.shutdown()
