"""The rows of /v1/deliveries: attempts of the log, or the last attempts of what stands somewhere now."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import redis

from hookfarm.api.pagination import cursor
from hookfarm.api.problems import Problem
from hookfarm.deliveries import attempts, log
from hookfarm.deliveries import by_state as standings
from hookfarm.deliveries.filters import is_wanted
from hookfarm.deliveries.log import LoggedAttempt
from hookfarm.deliveries.state_index import Position
from hookfarm.errors import InvalidInput

MOST_LOOKED_AT = 2000
"""Attempts that one page reads through for those that it is asked for."""
_AT_ONCE = 1000

Page = tuple[list[dict[str, Any]], Sequence[Any] | None]
"""Rows, and what the next page's cursor holds."""


@dataclass(frozen=True)
class Asked:
    """Which attempts; `until_ms` -1 = until now."""

    endpoint: str | None
    status: str | None
    since_ms: int
    until_ms: int

    def is_met_by(self, attempt: LoggedAttempt) -> bool:
        return is_wanted(self.status, attempt.status, delivered=attempt.delivered)


def find_attempts(client: "redis.Redis", asked: Asked, before: str | None, limit: int) -> Page:
    """Those that are asked for, the newest first."""
    end = "+" if asked.until_ms < 0 else str(asked.until_ms)
    if before is not None:
        try:
            end = log.older_than(before)
        except InvalidInput as error:
            raise Problem(422, error.problem, "cursor") from error
    found: list[LoggedAttempt] = []
    looked_at, more = 0, True
    while more and len(found) <= limit and looked_at < MOST_LOOKED_AT:
        count = limit + 1 if asked.status is None else _AT_ONCE
        page = _read(client, asked, end, count)
        found += filter(asked.is_met_by, page)
        looked_at += len(page)
        more = len(page) == count
        if page:
            before = page[-1].cursor
            end = log.older_than(before)
    rows = found[:limit]
    following = [rows[-1].cursor] if len(found) > limit else [before] if more else None
    places = log.places(client, [attempt.delivery for attempt in rows])
    shown = [attempts.public(a, place, cursor([a.cursor])) for a, place in zip(rows, places, strict=True)]
    return shown, following


def _read(client: "redis.Redis", asked: Asked, end: str, count: int) -> list[LoggedAttempt]:
    if asked.endpoint is None:
        return log.everybodys(client, end, asked.since_ms, count)
    return log.pages(client, {asked.endpoint: end}, asked.since_ms, count)[0]


def standing(client: "redis.Redis", place: str, endpoint: str | None, after: Position | None, limit: int) -> Page:
    """What is open, parked, in retry or dead now."""
    found, following = standings.page(client, place, endpoint, after, limit)
    return [standings.public(delivery, cursor(position)) for position, delivery in found], following
