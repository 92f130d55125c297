"""The rows of /v1/deliveries: attempts of the log, or the last attempts of what stands somewhere now."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import redis

from hookfarm import delivery_log, keys, place_index, recent_attempts
from hookfarm.api.problems import Problem
from hookfarm.api.replies import cursor
from hookfarm.attempt_results import is_wanted
from hookfarm.delivery_log import Delivery, LoggedAttempt
from hookfarm.errors import InvalidInput
from hookfarm.place_index import LAST_MS, Choice, Position

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


def attempts(client: "redis.Redis", asked: Asked, before: str | None, limit: int) -> Page:
    """Those that are asked for, the newest first."""
    end = "+" if asked.until_ms < 0 else str(asked.until_ms)
    if before is not None:
        try:
            end = delivery_log.older_than(before)
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
            end = delivery_log.older_than(before)
    rows = found[:limit]
    following = [rows[-1].cursor] if len(found) > limit else [before] if more else None
    places = delivery_log.places(client, [attempt.delivery for attempt in rows])
    shown = [recent_attempts.public(a, place, cursor([a.cursor])) for a, place in zip(rows, places, strict=True)]
    return shown, following


def _read(client: "redis.Redis", asked: Asked, end: str, count: int) -> list[LoggedAttempt]:
    if asked.endpoint is None:
        return delivery_log.everybodys(client, end, asked.since_ms, count)
    return delivery_log.pages(client, {asked.endpoint: end}, asked.since_ms, count)[0]


def standing(client: "redis.Redis", place: str, endpoint: str | None, after: Position | None, limit: int) -> Page:
    """What is open, parked, in retry or dead now."""
    there = _standing(client, place, endpoint, after, limit + 1)
    here = there[:limit]
    found = delivery_log.find_all(client, [position.id for position in here])
    rows = [
        _row(delivery, position)
        for delivery, position in zip(found, here, strict=True)
        if delivery is not None and delivery.place == place and endpoint in (None, delivery.endpoint)
    ]
    return rows, here[-1] if len(there) > limit else None


def _standing(
    client: "redis.Redis", place: str, endpoint: str | None, after: Position | None, count: int
) -> list[Position]:
    if place == "dead":
        return place_index.dead(client, Choice(endpoint), after, count)
    if place == "retry":
        return place_index.retry(client, endpoint, after, count)
    key = keys.OPEN if place == "open" else f"{keys.PARKED}{endpoint}"
    return place_index.by_score(
        client, key, after, count, (0, float(LAST_MS) * 1000), newest_first=place == "open"
    )


def _row(delivery: Delivery, position: Position) -> dict[str, Any]:
    """As a line of the log, with the last attempt that was made, if one was."""
    last = delivery.attempts[-1] if delivery.attempts else {}
    result = last.get("status", last.get("error"))
    return {
        "cursor": cursor(position),
        "at_ms": int(last["at"] * 1000) if "at" in last else None,
        "id": delivery.id,
        "endpoint": delivery.endpoint,
        "attempt": len(delivery.attempts),
        "result": None if result is None else str(result),
        "delivered": False,
        "took_ms": last.get("took_ms"),
        "now": delivery.place,
    }
