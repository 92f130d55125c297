"""Huey: a consumer with worker processes and blocking pops, without results."""

from collections.abc import Sequence

from huey import RedisHuey
from sync_post import post
from webhook import REDIS_URL, Task

huey = RedisHuey("webhooks", url=REDIS_URL, results=False)
deliver = huey.task(name="deliver")(post)


def enqueue(tasks: Sequence[Task]) -> None:
    for task in tasks:
        deliver(*task)
