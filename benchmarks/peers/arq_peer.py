"""arq: many concurrent jobs per process, a short poll delay, without results and without a log line per job."""

import asyncio
from collections.abc import Sequence
from typing import Any

from arq import create_pool, func
from arq.connections import RedisSettings
from async_post import post
from webhook import CONCURRENCY, REDIS_URL, Task

BATCH_TASKS = 200
NO_LOG = {"version": 1}
SETTINGS = RedisSettings(unix_socket_path=REDIS_URL.removeprefix("unix://"))


async def deliver(_: Any, url: str, webhook_id: str, body: str) -> None:
    await post(url, webhook_id, body)


class WorkerSettings:
    """Settings for the command `arq`."""

    functions = (func(deliver, name="deliver", keep_result=0),)
    redis_settings = SETTINGS
    max_jobs = CONCURRENCY
    poll_delay = 0.02
    health_check_interval = 3600


def enqueue(tasks: Sequence[Task]) -> None:
    asyncio.run(_enqueue(tasks))


async def _enqueue(tasks: Sequence[Task]) -> None:
    pool = await create_pool(SETTINGS)
    for start in range(0, len(tasks), BATCH_TASKS):
        batch = tasks[start : start + BATCH_TASKS]
        await asyncio.gather(*(pool.enqueue_job("deliver", *task, _job_id=task[1]) for task in batch))
    await pool.aclose()
