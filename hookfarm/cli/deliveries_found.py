"""The deliveries that a command is asked for: attempts of the log, or what stands somewhere now."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import redis

from hookfarm.deliveries import attempts, by_state, log
from hookfarm.deliveries.filters import DELIVERED, is_wanted
from hookfarm.deliveries.log import Delivery, LoggedAttempt, Place
from hookfarm.deliveries.state_index import Position
from hookfarm.errors import InvalidInput

MOST_LOOKED_AT = 50_000
"""Attempts that one list reads through for those that it is asked for."""
_AT_ONCE = 500


@dataclass(frozen=True)
class Asked:
    """Which attempts: of these endpoints (none = of all), with this result, within these ms."""

    endpoints: tuple[str, ...] = ()
    status: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None

    def fits(self, attempt: LoggedAttempt) -> bool:
        """By its result."""
        return is_wanted(self.status, attempt.status, delivered=attempt.delivered)


def find_attempts(client: "redis.Redis", asked: Asked, before: str | None = None) -> Iterator[LoggedAttempt]:
    """The newest first, whatever they came to. InvalidInput, at once, where `before` is no cursor."""
    behind, since_ms = _earlier(before, asked.until_ms), asked.since_ms or 0
    if asked.endpoints:
        return attempts.recent(client, asked.endpoints, behind, since_ms)
    return attempts.everybodys(client, behind, since_ms)


def page(
    client: "redis.Redis", asked: Asked, before: str | None, limit: int
) -> tuple[list[LoggedAttempt], str | None]:
    """The first `limit` that are wanted, and the cursor from which to go on; None = there are no more."""
    found: list[LoggedAttempt] = []
    following = None
    for looked_at, attempt in enumerate(find_attempts(client, asked, before)):
        if len(found) == limit or looked_at == MOST_LOOKED_AT:
            return found, following
        following = cursor(asked, attempt)
        if asked.fits(attempt):
            found.append(attempt)
    return found, None


def cursor(asked: Asked, attempt: LoggedAttempt) -> str:
    """Where to go on behind an attempt, in a list of the same endpoints."""
    return attempts.position(attempt) if asked.endpoints else attempt.cursor


def _earlier(before: str | None, until_ms: int | None) -> str | None:
    """The earlier one of a cursor and a time, as a cursor."""
    if until_ms is None:
        return before
    at = "" if before is None else before.partition("-")[0]
    return before if before is not None and not (at.isdecimal() and int(at) > until_ms) else f"{until_ms + 1}-0"


def stand(
    client: "redis.Redis", asked: Asked, before: str | None, limit: int
) -> tuple[list[tuple[Position, Delivery]], str | None]:
    """The first `limit` deliveries that are where `asked.status` says, and the cursor from which to go on."""
    endpoint = _the_endpoint(asked)
    after = None if before is None else position(before)
    found: list[tuple[Position, Delivery]] = []
    while len(found) < limit:
        rows, after = by_state.page(client, str(asked.status), endpoint, after, limit - len(found))
        found += rows
        if after is None:
            return found, None
    return found, None if after is None else mark(after)


def _the_endpoint(asked: Asked) -> str | None:
    flag, place = "--endpoint", f"--status {asked.status}"
    if asked.since_ms is not None or asked.until_ms is not None:
        raise InvalidInput("--since" if asked.since_ms is not None else "--until", f"does not go with {place}")
    if len(asked.endpoints) > 1:
        raise InvalidInput(flag, f"give one with {place}")
    if asked.status == Place.PARKED and not asked.endpoints:
        raise InvalidInput(flag, f"{place} needs one")
    return next(iter(asked.endpoints), None)


def mark(where: Position) -> str:
    """A position as a cursor."""
    return f"{where.at:.17g}/{where.id}"


def position(mark: str) -> Position:
    """What `mark` made; InvalidInput where it made no such thing."""
    at, _, delivery_id = mark.partition("/")
    try:
        number = float(at)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or not delivery_id:
        raise InvalidInput("before", f"{mark!r} is not a cursor; take one from an earlier list")
    return Position(number, delivery_id)


def places_wanted(status: str | None) -> frozenset[Place]:
    """Where a delivery is that is meant by --status: what is on its way is not sent again."""
    if status is None:
        return frozenset((Place.DELIVERED, Place.DEAD, Place.RETRY))
    if status == DELIVERED or status.startswith("2"):
        return frozenset((Place.DELIVERED,))
    return frozenset((Place.DEAD, Place.RETRY))


def ids(client: "redis.Redis", asked: Asked, wanted: frozenset[Place]) -> list[str]:
    """The deliveries with such an attempt that are in one of these places now, by their first one."""
    matching = [attempt.delivery for attempt in find_attempts(client, asked) if asked.fits(attempt)]
    chosen = list(dict.fromkeys(reversed(matching)))
    return [delivery_id for part in _parts(chosen) for delivery_id in _standing(client, part, wanted)]


def _parts(chosen: Sequence[str]) -> Iterator[Sequence[str]]:
    return (chosen[start : start + _AT_ONCE] for start in range(0, len(chosen), _AT_ONCE))


def _standing(client: "redis.Redis", part: Sequence[str], wanted: frozenset[Place]) -> Iterator[str]:
    for delivery_id, place in zip(part, log.places(client, part), strict=True):
        if place in wanted:
            yield delivery_id
