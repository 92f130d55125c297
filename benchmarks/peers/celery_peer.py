"""Celery: prefork pool and prefetching, without results and gossip."""

from collections.abc import Sequence

from celery import Celery
from sync_post import post
from webhook import REDIS_URL, Task

app = Celery("webhooks", broker=REDIS_URL.replace("unix://", "redis+socket://"))
app.conf.update(task_ignore_result=True, worker_prefetch_multiplier=16, worker_disable_rate_limits=True)
deliver = app.task(post, name="deliver")


def enqueue(tasks: Sequence[Task]) -> None:
    with app.producer_pool.acquire(block=True) as producer:
        for task in tasks:
            deliver.apply_async(args=task, producer=producer)
