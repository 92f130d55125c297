"""Numbers of jobs by state."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hookfarm.store import keys
from hookfarm.store.clients import AnyPipeline, Client

DEPTH_REPLIES = 6
"""Number of replies to `request_depths`."""


@dataclass(frozen=True)
class Depths:
    """Numbers of undelivered jobs by state.

    `queued` counts the list; `open` counts the list and the workers.
    """

    queued: int
    open: int
    parked: int
    retry: int
    dead: int

    @property
    def undelivered(self) -> int:
        """Number of undelivered jobs without dead letters."""
        return self.open + self.parked + self.retry


def read_depths(client: Client) -> Depths:
    """Return the depths. Raises RedisError."""
    with client.pipeline(transaction=True) as pipe:
        request_depths(pipe)
        return parse_depths(pipe.execute())


def request_depths(pipe: AnyPipeline) -> None:
    """Add the commands that read the depths to a transaction; `parse_depths` reads the DEPTH_REPLIES replies."""
    pipe.llen(keys.DELIVERY_QUEUE)
    pipe.hlen(keys.JOBS)
    pipe.hlen(keys.DELIVERED)
    for key in (keys.OPEN, keys.RETRY, keys.DEAD):
        pipe.zcard(key)


def parse_depths(replies: Sequence[Any]) -> Depths:
    """Return the depths from the first DEPTH_REPLIES replies."""
    queued, jobs, delivered, open_, retry, dead = replies[:DEPTH_REPLIES]
    return Depths(queued, open_, jobs - delivered - open_ - retry - dead, retry, dead)
