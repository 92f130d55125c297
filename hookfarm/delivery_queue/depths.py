"""How many jobs are where."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import redis

from hookfarm.store import keys


@dataclass(frozen=True)
class Depths:
    """How many jobs are where; `queued` is the list alone, `open` that and the workers."""

    queued: int
    open: int
    parked: int
    retry: int
    dead: int


def depths(client: "redis.Redis") -> Depths:
    with client.pipeline(transaction=True) as pipe:
        ask_depths(pipe)
        return depths_answered(pipe.execute())


DEPTHS_ASKED = 5
"""How many replies `ask_depths` brings."""


def ask_depths(pipe: "redis.client.Pipeline | redis.asyncio.client.Pipeline") -> None:
    """Puts the question into a transaction that asks for more; `depths_answered` reads its replies."""
    pipe.llen(keys.DELIVERY_QUEUE)
    pipe.hlen(keys.JOBS)
    for key in (keys.OPEN, keys.RETRY, keys.DEAD):
        pipe.zcard(key)


def depths_answered(replies: Sequence[Any]) -> Depths:
    """The first DEPTHS_ASKED of `replies`."""
    queued, jobs, open_, retry, dead = replies[:DEPTHS_ASKED]
    return Depths(queued, open_, jobs - open_ - retry - dead, retry, dead)
