"""The delivery logs of some or all endpoints as one, the newest attempt first, read as far as somebody looks."""

import heapq
from collections.abc import Iterator, Sequence
from typing import Any

import redis

from hookfarm.deliveries import log
from hookfarm.deliveries.log import LoggedAttempt, Place

_READ_FIRST = 5000
"""Attempts that are read at first, of all endpoints together; what more is needed follows a page at a time."""
_PAGE = 500


def position(attempt: LoggedAttempt) -> str:
    """Where to go on reading behind this attempt: its cursor, and its endpoint, as cursors may be alike."""
    return f"{attempt.cursor}/{attempt.endpoint}"


def public(attempt: LoggedAttempt, place: Place | None, cursor: str) -> dict[str, Any]:
    """A line of the log for programs; `now` is where its delivery is, null = forgotten."""
    return {
        "cursor": cursor,
        "at_ms": attempt.at_ms,
        "id": attempt.delivery,
        "endpoint": attempt.endpoint,
        "attempt": attempt.number,
        "result": attempt.status,
        "delivered": attempt.delivered,
        "duration_ms": attempt.duration_ms,
        "now": place,
    }


def recent(
    client: "redis.Redis", endpoints: Sequence[str], before: str | None = None, since_ms: int = 0
) -> Iterator[LoggedAttempt]:
    """The attempts of these endpoints, the newest first, behind the position `before`, none before `since_ms`.

    InvalidInput, at once, where `before` is no position (an endpoint's own cursor is one too).
    """
    newest = dict.fromkeys(endpoints, "+") if before is None else _behind(before, endpoints)
    count = max(1, min(_PAGE, _READ_FIRST // max(1, len(newest))))
    pages = log.pages(client, newest, since_ms, count)
    lines = [_onwards(client, page, count, since_ms) for page in pages if page]
    return heapq.merge(*lines, key=_order, reverse=True)


def everybodys(client: "redis.Redis", before: str | None = None, since_ms: int = 0) -> Iterator[LoggedAttempt]:
    """The attempts of all endpoints, as `recent` gives those of some; an attempt's cursor is its position."""
    newest = "+" if before is None else log.older_than(before.partition("/")[0])
    return _pages(client, newest, since_ms)


def _pages(client: "redis.Redis", end: str, since_ms: int) -> Iterator[LoggedAttempt]:
    while page := log.everybodys(client, end, since_ms, _PAGE):
        yield from page
        end = log.older_than(page[-1].cursor)


def _order(attempt: LoggedAttempt) -> tuple[int, int, str]:
    return attempt.at_ms, int(attempt.cursor.partition("-")[2]), attempt.endpoint


def _onwards(
    client: "redis.Redis", page: list[LoggedAttempt], count: int, since_ms: int
) -> Iterator[LoggedAttempt]:
    """An endpoint's page, and all that follow it."""
    while True:
        yield from page
        if len(page) < count:
            return
        count = _PAGE
        page = log.attempts(client, page[-1].endpoint, page[-1].cursor, since_ms, count)


def _behind(position: str, endpoints: Sequence[str]) -> dict[str, str]:
    """The end of each endpoint's stream that is behind `position` in the order of all."""
    cursor, _, beside = position.partition("/")
    end = log.older_than(cursor)
    return {endpoint: end.removeprefix("(") if endpoint < beside else end for endpoint in endpoints}
