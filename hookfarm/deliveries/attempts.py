"""Attempts of some or all endpoints as one list, newest first, read lazily page by page."""

import heapq
from collections.abc import Iterator, Sequence
from typing import Any

import redis

from hookfarm.deliveries import log
from hookfarm.deliveries.filters import AttemptFilter
from hookfarm.deliveries.log import DeliveryState, LoggedAttempt
from hookfarm.timestamps import format_ms

PAGE_SIZE = 1000
_MAX_FIRST_READ = 5000
"""Maximum attempts in the first pages of all endpoints together; later pages are read on demand."""


def find(
    client: redis.Redis, attempt_filter: AttemptFilter, before: str | None, limit: int, max_scanned: int
) -> tuple[list[LoggedAttempt], str | None]:
    """Return the first `limit` matching attempts, and the cursor of the next page; None after the last one.

    At most `max_scanned` attempts are read, so a page before the last may have fewer than `limit`. Raises
    InvalidInput if `before` is not a cursor.
    """
    page_size = min(limit + 1, PAGE_SIZE) if attempt_filter.status is None else PAGE_SIZE
    found: list[LoggedAttempt] = []
    last: LoggedAttempt | None = None
    for scanned, attempt in enumerate(read(client, attempt_filter, before, page_size)):
        if scanned == max_scanned and last is not None:
            return found, cursor(attempt_filter, last)
        last = attempt
        if attempt_filter.matches(attempt):
            if len(found) == limit:
                return found, cursor(attempt_filter, found[-1])
            found.append(attempt)
    return found, None


def read(
    client: redis.Redis, attempt_filter: AttemptFilter, before: str | None = None, page_size: int = PAGE_SIZE
) -> Iterator[LoggedAttempt]:
    """Return attempts of the filter's endpoints and time span, of any status. Raises InvalidInput at once."""
    start = _newest(before, attempt_filter.until_ms)
    if attempt_filter.endpoints:
        return of_endpoints(client, attempt_filter.endpoints, start, attempt_filter.since_ms, page_size)
    newest = "+" if start is None else log.before_cursor(start.partition("/")[0])
    return _of_all(client, newest, attempt_filter.since_ms, page_size)


def of_endpoints(
    client: redis.Redis,
    endpoints: Sequence[str],
    before: str | None = None,
    since_ms: int = 0,
    page_size: int = PAGE_SIZE,
) -> Iterator[LoggedAttempt]:
    """Return the attempts of these endpoints at or after `since_ms` and before `before`, the newest first.

    `before` is a `sort_key` or an endpoint's cursor. Raises InvalidInput at once if it is neither.
    """
    ends = dict.fromkeys(endpoints, "+") if before is None else _ends_for(before, endpoints)
    count = max(1, min(page_size, _MAX_FIRST_READ // max(1, len(ends))))
    pages = log.attempts_by_endpoint(client, ends, since_ms, count)
    iterators = [_iter_pages(client, page, count, since_ms) for page in pages if page]
    return heapq.merge(*iterators, key=_order, reverse=True)


def sort_key(attempt: LoggedAttempt) -> str:
    """Return an attempt's position in the merged list of several endpoints, whose cursors may be equal."""
    return f"{attempt.cursor}/{attempt.endpoint}"


def cursor(attempt_filter: AttemptFilter, attempt: LoggedAttempt) -> str:
    """Return the cursor after an attempt, for a list with the same filter."""
    return sort_key(attempt) if attempt_filter.endpoints else attempt.cursor


def as_json(attempt: LoggedAttempt, state: DeliveryState | None, cursor: str) -> dict[str, Any]:
    """Return a row of the API. `state` is the delivery's current state; None = trimmed."""
    return {
        "cursor": cursor,
        "at": format_ms(attempt.at_ms),
        "id": attempt.delivery,
        "endpoint": attempt.endpoint,
        "attempt": attempt.number,
        "status": attempt.status,
        "error": attempt.error,
        "delivered": attempt.delivered,
        "duration_ms": attempt.duration_ms,
        "state": state,
    }


def _newest(before: str | None, until_ms: int | None) -> str | None:
    """Return the earlier of a cursor and a time, as a cursor."""
    if until_ms is None:
        return before
    at = "" if before is None else before.partition("-")[0]
    return before if before is not None and not (at.isdecimal() and int(at) > until_ms) else f"{until_ms + 1}-0"


def _of_all(client: redis.Redis, end: str, since_ms: int, count: int) -> Iterator[LoggedAttempt]:
    while True:
        page = log.all_attempts(client, end, since_ms, count)
        yield from page
        if len(page) < count:
            return
        end = log.before_cursor(page[-1].cursor)
        count = PAGE_SIZE


def _order(attempt: LoggedAttempt) -> tuple[int, int, str]:
    return attempt.at_ms, int(attempt.cursor.partition("-")[2]), attempt.endpoint


def _iter_pages(
    client: redis.Redis, page: list[LoggedAttempt], count: int, since_ms: int
) -> Iterator[LoggedAttempt]:
    """Yield an endpoint's page and all later ones."""
    while True:
        yield from page
        if len(page) < count:
            return
        count = PAGE_SIZE
        page = log.attempts(client, page[-1].endpoint, page[-1].cursor, since_ms, count)


def _ends_for(before: str, endpoints: Sequence[str]) -> dict[str, str]:
    """Return for each endpoint the end of its stream range at the position `before` of the merged list."""
    own_cursor, _, beside = before.partition("/")
    end = log.before_cursor(own_cursor)
    return {endpoint: end.removeprefix("(") if endpoint < beside else end for endpoint in endpoints}
