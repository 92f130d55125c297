"""Queries of dead letters by endpoint, reason and time; and their purge."""

from collections.abc import Iterator, Sequence

import redis

from hookfarm.deliveries import log, state_index
from hookfarm.deliveries.filters import DeadLetterFilter
from hookfarm.deliveries.log import Delivery, DeliveryState
from hookfarm.deliveries.state_index import Position
from hookfarm.store.scripts import Script

_BATCH_SIZE = 500

_PURGE = Script("purge")


def iterate(client: redis.Redis, where: DeadLetterFilter) -> Iterator[Delivery]:
    """Yield matching dead letters, newest first. The caller may redrive or purge them while iterating."""
    after: Position | None = None
    while True:
        letters, after = page(client, where, after, _BATCH_SIZE)
        yield from letters
        if after is None:
            return


def find(
    client: redis.Redis, where: DeadLetterFilter, after: Position | None, limit: int
) -> tuple[list[Delivery], Position | None]:
    """Read pages until `limit` dead letters match; return them, and the next page's position."""
    found: list[Delivery] = []
    while len(found) < limit:
        letters, after = page(client, where, after, limit - len(found))
        found += letters
        if after is None:
            break
    return found, after


def page(
    client: redis.Redis,
    where: DeadLetterFilter,
    after: Position | None,
    limit: int,
    oldest_first: bool = False,
) -> tuple[list[Delivery], Position | None]:
    """Read one page of at most `limit` dead letters; return the matches, and the next page's position.

    A page may have fewer matches than `limit`, or 0. The position is None after the last page.
    """
    positions = state_index.dead(client, where, after, limit + 1, oldest_first)
    here, more = positions[:limit], len(positions) > limit
    found = log.find_all(client, [position.id for position in here])
    letters = [
        delivery
        for delivery in found
        if delivery is not None
        and delivery.state is DeliveryState.DEAD
        and where.matches_reason(delivery.reason or "")
    ]
    return letters, here[-1] if more else None


def ids(client: redis.Redis, where: DeadLetterFilter) -> list[str]:
    """Return the ids of all matching dead letters, oldest first, as they are redriven."""
    if where.reason is not None:
        return [letter.id for letter in iterate(client, where)][::-1]
    found: list[str] = []
    after: Position | None = None
    while positions := state_index.dead(client, where, after, _BATCH_SIZE, oldest_first=True):
        found += [position.id for position in positions]
        after = positions[-1]
    return found


def purge(client: redis.Redis, ids: Sequence[str]) -> int:
    """Delete dead letters permanently; return how many of `ids` existed."""
    return int(_PURGE.call(client, (), ids)) if ids else 0
