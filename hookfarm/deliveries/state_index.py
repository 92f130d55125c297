"""Deliveries by state, a page at a time, and the index of dead letters and retries.

The index orders deliveries by time, for each endpoint and reason; the cost of a page is its size.

The scripts maintain the index beside both sorted sets (store/lua/shared/state_index.lua). An index with missing or
extra members is rebuilt before it is read.
"""

import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import redis

from hookfarm.deliveries import log, state_index
from hookfarm.deliveries.filters import LAST_MS, DeadLetterFilter
from hookfarm.deliveries.log import Delivery
from hookfarm.delivery_queue.job import attempt_json
from hookfarm.errors import InvalidInput
from hookfarm.store import keys
from hookfarm.store.scripts import Script

_BATCH_SIZE = 500
_MEMBERS_OF_DEAD = 3
_MEMBER = re.compile(r"([0-9]{15})\|(.+)")
_REASON_PREFIX = re.compile(r'[^":\\|\x00-\x1f]*')

_INDEX = Script("rebuild_state_index")


class Position(NamedTuple):
    """Position of a job in the list of one state: time in ms (rank if parked) and id."""

    at: float
    id: str

    def as_cursor(self) -> str:
        return f"{self.at:.17g}/{self.id}"

    @classmethod
    def from_cursor(cls, cursor: str) -> "Position":
        """Parse a result of `as_cursor`. Raises InvalidInput."""
        at, _, delivery_id = cursor.partition("/")
        try:
            number = float(at)
        except ValueError:
            number = math.nan
        if not math.isfinite(number) or not delivery_id:
            raise InvalidInput("before", f"{cursor!r} is not a cursor; take one from an earlier list")
        return cls(number, delivery_id)


def dead(
    client: redis.Redis, where: DeadLetterFilter, after: Position | None, count: int, oldest_first: bool = False
) -> list[Position]:
    """Return positions of dead letters. The reason filters by prefix only."""
    prefix = _prefix(where)
    if prefix is None:
        bounds = (where.since_ms, where.until_ms)
        return by_score(client, keys.DEAD, after, count, bounds, not oldest_first)
    _rebuild_if_stale(client, keys.DEAD, keys.DEAD_INDEX, _MEMBERS_OF_DEAD)
    return _by_name(client, keys.DEAD_INDEX, prefix, after, count, where, oldest_first)


def retry(client: redis.Redis, endpoint: str | None, after: Position | None, count: int) -> list[Position]:
    """Return positions of jobs in retry, of one endpoint or all, by due time."""
    if endpoint is None:
        return by_score(client, keys.RETRY, after, count, (0, LAST_MS), newest_first=False)
    _rebuild_if_stale(client, keys.RETRY, keys.RETRY_INDEX, 1)
    return _by_name(client, keys.RETRY_INDEX, f"{endpoint}|", after, count, DeadLetterFilter(), oldest_first=True)


def count_retries(client: redis.Redis, endpoints: Sequence[str]) -> list[int]:
    """Return the number of jobs in retry of each endpoint."""
    _rebuild_if_stale(client, keys.RETRY, keys.RETRY_INDEX, 1)
    with client.pipeline(transaction=False) as pipe:
        for endpoint in endpoints:
            pipe.zlexcount(keys.RETRY_INDEX, f"[{endpoint}|", f"[{endpoint}|\xff")
        found: list[int] = pipe.execute()
    return found


def by_score(
    client: redis.Redis,
    key: str,
    after: Position | None,
    count: int,
    bounds: tuple[float, float],
    newest_first: bool,
) -> list[Position]:
    """Return members of a sorted set with scores within the bounds, after the position `after`."""
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
    client: redis.Redis,
    key: str,
    prefix: str,
    after: Position | None,
    count: int,
    where: DeadLetterFilter,
    oldest_first: bool,
) -> list[Position]:
    low, high = f"[{prefix}{where.since_ms:015d}", f"[{prefix}{where.until_ms:015d}|\xff"
    if after is not None:
        behind = f"({prefix}{int(after.at):015d}|{after.id}"
        low, high = (max(low, behind, key=_text), high) if oldest_first else (low, min(high, behind, key=_text))
    ends = (low, high) if oldest_first else (high, low)
    page: Any = client.zrange(key, *ends, desc=not oldest_first, bylex=True, offset=0, num=count)
    named = (_MEMBER.fullmatch(name.decode()[len(prefix) :]) for name in page)
    return [Position(float(found[1]), found[2]) for found in named if found]


def _text(bound: str) -> str:
    return bound[1:]


def _prefix(where: DeadLetterFilter) -> str | None:
    """Return the prefix of the matching members of the index; None = all dead letters."""
    reason = None if where.reason is None else _reason_prefix(where.reason)
    if where.endpoint is None:
        return None if reason is None else f"r|{reason}|"
    return f"e|{where.endpoint}|" if reason is None else f"b|{where.endpoint}|{reason}|"


def _reason_prefix(reason: str) -> str:
    """Return the part of a reason that is in the index."""
    found = _REASON_PREFIX.match(reason)
    return found[0] if found else ""


def _rebuild_if_stale(client: redis.Redis, key: str, index: str, members: int) -> None:
    """Rebuild the index from the jobs if its number of members is wrong."""
    with client.pipeline(transaction=True) as pipe:
        pipe.zcard(key)
        pipe.zcard(index)
        count, indexed = pipe.execute(raise_on_error=False)
    if isinstance(count, redis.RedisError):
        raise count
    if not isinstance(indexed, redis.RedisError) and indexed == count * members:
        return
    client.delete(index)
    cursor: int = 0
    while True:
        found: Any = client.zscan(key, cursor, count=_BATCH_SIZE)
        cursor, page = found
        if page:
            _INDEX.call(client, (), [name for name, _ in page])
        if not cursor:
            return


Rows = list[tuple[Position, Delivery]]


def find(
    client: redis.Redis, state: str, endpoint: str | None, after: Position | None, limit: int
) -> tuple[Rows, Position | None]:
    """Read pages until `limit` deliveries match; return them, and the next page's position."""
    found: Rows = []
    while len(found) < limit:
        rows, after = page(client, state, endpoint, after, limit - len(found))
        found += rows
        if after is None:
            break
    return found, after


def page(
    client: redis.Redis, state: str, endpoint: str | None, after: Position | None, limit: int
) -> tuple[Rows, Position | None]:
    """Read one page of at most `limit` deliveries in a state; return the matches, and the next position.

    A page may have fewer matches than `limit`, or 0. The position is None after the last page. Deliveries in retry
    are sorted by due time, parked ones (of one endpoint) in order of release, others newest first.
    """
    positions = _positions(client, state, endpoint, after, limit + 1)
    here = positions[:limit]
    found = log.find_all(client, [position.id for position in here])
    rows = [
        (position, delivery)
        for delivery, position in zip(found, here, strict=True)
        if delivery is not None and delivery.state == state and endpoint in (None, delivery.endpoint)
    ]
    return rows, here[-1] if len(positions) > limit else None


def _positions(
    client: redis.Redis, state: str, endpoint: str | None, after: Position | None, count: int
) -> list[Position]:
    if state == "dead":
        return state_index.dead(client, DeadLetterFilter(endpoint), after, count)
    if state == "retry":
        return state_index.retry(client, endpoint, after, count)
    key = keys.OPEN if state == "open" else f"{keys.PARKED}{endpoint}"
    bounds = (0, float(LAST_MS) * 1000)
    return state_index.by_score(client, key, after, count, bounds, newest_first=state == "open")


def as_json(delivery: Delivery, cursor: str) -> dict[str, Any]:
    """Return a row of the API, like an attempt's, with the status of the last attempt, if any."""
    last = attempt_json(delivery.attempts[-1]) if delivery.attempts else {}
    return {
        "cursor": cursor,
        "at": last.get("at"),
        "id": delivery.id,
        "endpoint": delivery.endpoint,
        "attempt": len(delivery.attempts),
        "status": last.get("status"),
        "error": last.get("error"),
        "delivered": False,
        "duration_ms": last.get("duration_ms"),
        "state": delivery.state,
    }
