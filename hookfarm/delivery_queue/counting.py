"""How many jobs are where."""

from dataclasses import dataclass

import redis

from hookfarm import keys


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
        pipe.llen(keys.DELIVERY_QUEUE)
        pipe.hlen(keys.JOBS)
        for key in (keys.OPEN, keys.RETRY, keys.DEAD):
            pipe.zcard(key)
        queued, jobs, open_, retry, dead = pipe.execute()
    return Depths(queued, open_, jobs - open_ - retry - dead, retry, dead)
