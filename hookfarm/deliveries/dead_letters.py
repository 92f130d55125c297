"""Dead letters: what was given up, found by endpoint, reason and time, and forgotten for good."""

from collections.abc import Iterator, Sequence

import redis

from hookfarm.deliveries import log, state_index
from hookfarm.deliveries.log import Delivery, Place
from hookfarm.deliveries.state_index import Choice, Position
from hookfarm.store.scripts import Script

_READ_AT_ONCE = 500

_PURGE = Script("purge")


def every(client: "redis.Redis", choice: Choice) -> Iterator[Delivery]:
    """Those that are chosen, the newest first. They may be sent again or purged meanwhile."""
    after: Position | None = None
    while True:
        letters, after = page(client, choice, after, _READ_AT_ONCE)
        yield from letters
        if after is None:
            return


def page(
    client: "redis.Redis", choice: Choice, after: Position | None, limit: int, oldest_first: bool = False
) -> tuple[list[Delivery], Position | None]:
    """At most `limit` of those that are chosen, and where to go on behind them; None = there are no more.

    It may hold fewer, and none, although there are more.
    """
    places = state_index.dead(client, choice, after, limit + 1, oldest_first)
    there, more = places[:limit], len(places) > limit
    found = log.find_all(client, [place.id for place in there])
    letters = [d for d in found if d is not None and d.place is Place.DEAD and choice.is_for(d.reason or "")]
    return letters, there[-1] if more else None


def ids(client: "redis.Redis", choice: Choice) -> list[str]:
    """The ids of all that are chosen, the oldest first: the order in which to send them again."""
    if choice.reason is not None:
        return [letter.id for letter in every(client, choice)][::-1]
    found: list[str] = []
    after: Position | None = None
    while places := state_index.dead(client, choice, after, _READ_AT_ONCE, oldest_first=True):
        found += [place.id for place in places]
        after = places[-1]
    return found


def purge(client: "redis.Redis", ids: Sequence[str]) -> int:
    """Forgets these dead letters for good; returns how many there were."""
    return int(_PURGE.call(client, (), ids)) if ids else 0
