"""Dramatiq: processes with threads."""

from collections.abc import Sequence

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from sync_post import post
from webhook import REDIS_URL, Task

dramatiq.set_broker(RedisBroker(url=REDIS_URL))
deliver = dramatiq.actor(post, actor_name="deliver")


def enqueue(tasks: Sequence[Task]) -> None:
    for task in tasks:
        deliver.send(*task)
