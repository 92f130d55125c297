"""What is in retry and dead, in order, of one endpoint or for one reason, at the cost of what is read.

The scripts keep an index beside both (store/lua/shared/state_index.lua). Where one is not whole, because what
is there came before there was an index or somebody else has written there, it is made anew before it is read.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import redis

from hookfarm.store import keys
from hookfarm.store.scripts import Script

LAST_MS = 10**15 - 1
"""The year 33658."""
_AT_ONCE = 500
_MEMBERS_OF_DEAD = 3
_NAMED = re.compile(r"([0-9]{15})\|(.+)")
_FIRST_WORDS = re.compile(r'[^":\\|\x00-\x1f]*')

_INDEX = Script("rebuild_state_index")


class Position(NamedTuple):
    """Where a job stands: a time in ms (or a place among the parked), and its id."""

    at: float
    id: str


@dataclass(frozen=True)
class Choice:
    """Which dead letters: of one endpoint ("" = what was no job), for a reason, died since and until (ms).

    A reason is the whole of it, or what stands before its colon.
    """

    endpoint: str | None = None
    reason: str | None = None
    since_ms: int = 0
    until_ms: int = LAST_MS

    def is_for(self, reason: str) -> bool:
        return self.reason is None or self.reason in (reason, reason.partition(":")[0])


def dead(
    client: "redis.Redis", choice: Choice, after: Position | None, count: int, oldest_first: bool = False
) -> list[Position]:
    """Some of them, the newest first unless said otherwise. Reasons that only begin alike are among them."""
    prefix = _prefix(choice)
    if prefix is None:
        bounds = (choice.since_ms, choice.until_ms)
        return by_score(client, keys.DEAD, after, count, bounds, not oldest_first)
    _make_whole(client, keys.DEAD, keys.DEAD_INDEX, _MEMBERS_OF_DEAD)
    return _by_name(client, keys.DEAD_INDEX, prefix, after, count, choice, oldest_first)


def retry(client: "redis.Redis", endpoint: str | None, after: Position | None, count: int) -> list[Position]:
    """What waits for its next attempt, of one endpoint or all, the next to come first."""
    if endpoint is None:
        return by_score(client, keys.RETRY, after, count, (0, LAST_MS), newest_first=False)
    _make_whole(client, keys.RETRY, keys.RETRY_INDEX, 1)
    return _by_name(client, keys.RETRY_INDEX, f"{endpoint}|", after, count, Choice(), oldest_first=True)


def count_retries(client: "redis.Redis", endpoints: Sequence[str]) -> list[int]:
    """How many jobs of each endpoint wait for their next attempt."""
    _make_whole(client, keys.RETRY, keys.RETRY_INDEX, 1)
    with client.pipeline(transaction=False) as pipe:
        for endpoint in endpoints:
            pipe.zlexcount(keys.RETRY_INDEX, f"[{endpoint}|", f"[{endpoint}|\xff")
        found: list[int] = pipe.execute()
    return found


def by_score(
    client: "redis.Redis",
    key: str,
    after: Position | None,
    count: int,
    bounds: tuple[float, float],
    newest_first: bool,
) -> list[Position]:
    """Members of a sorted set with scores within the bounds, behind the position `after`."""
    low, high = bounds
    if after is not None:
        low, high = (low, min(high, after.at)) if newest_first else (max(low, after.at), high)
    ends = (high, low) if newest_first else (low, high)
    found: list[Position] = []
    offset = 0
    while len(found) < count:
        page: Any = client.zrange(
            key, *ends, desc=newest_first, byscore=True, offset=offset, num=count, withscores=True
        )
        here = [Position(float(score), name.decode()) for name, score in page]
        found += [p for p in here if after is None or (p < after if newest_first else p > after)]
        offset += len(page)
        if len(page) < count:
            break
    return found[:count]


def _by_name(
    client: "redis.Redis", key: str, prefix: str, after: Position | None, count: int, choice: Choice,
    oldest_first: bool,
) -> list[Position]:  # fmt: skip
    low, high = f"[{prefix}{choice.since_ms:015d}", f"[{prefix}{choice.until_ms:015d}|\xff"
    if after is not None:
        behind = f"({prefix}{int(after.at):015d}|{after.id}"
        low, high = (max(low, behind, key=_text), high) if oldest_first else (low, min(high, behind, key=_text))
    ends = (low, high) if oldest_first else (high, low)
    page: Any = client.zrange(key, *ends, desc=not oldest_first, bylex=True, offset=0, num=count)
    named = (_NAMED.fullmatch(name.decode()[len(prefix) :]) for name in page)
    return [Position(float(found[1]), found[2]) for found in named if found]


def _text(bound: str) -> str:
    return bound[1:]


def _prefix(choice: Choice) -> str | None:
    """What the members of the index begin with that are meant; None = all dead letters."""
    words = None if choice.reason is None else _first_words(choice.reason)
    if choice.endpoint is None:
        return None if words is None else f"r|{words}|"
    return f"e|{choice.endpoint}|" if words is None else f"b|{choice.endpoint}|{words}|"


def _first_words(reason: str) -> str:
    """As the scripts cut it out of a job."""
    found = _FIRST_WORDS.match(reason)
    return found[0] if found else ""


def _make_whole(client: "redis.Redis", place: str, index: str, members: int) -> None:
    """Where the index has not as many members as it must, whatever the reason, it is made from the jobs."""
    with client.pipeline(transaction=True) as pipe:
        pipe.zcard(place)
        pipe.zcard(index)
        there, indexed = pipe.execute(raise_on_error=False)
    if isinstance(there, redis.RedisError):
        raise there
    if not isinstance(indexed, redis.RedisError) and indexed == there * members:
        return
    client.delete(index)
    cursor: int = 0
    while True:
        found: Any = client.zscan(place, cursor, count=_AT_ONCE)
        cursor, page = found
        if page:
            _INDEX.call(client, (), [name for name, _ in page])
        if not cursor:
            return
