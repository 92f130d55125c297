"""Deliveries that are open, parked, in retry or dead now, a page at a time."""

from typing import Any

import redis

from hookfarm.deliveries import log, state_index
from hookfarm.deliveries.filters import LAST_MS, DeadLetterFilter
from hookfarm.deliveries.log import Delivery
from hookfarm.deliveries.state_index import Position
from hookfarm.delivery_queue.job import attempt_json
from hookfarm.store import keys

Rows = list[tuple[Position, Delivery]]


def find(
    client: redis.Redis, state: str, endpoint: str | None, after: Position | None, limit: int
) -> tuple[Rows, Position | None]:
    """Return the first `limit` deliveries of a page, or all there are, and the position of the next page."""
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
    """Return at most `limit` deliveries in one of LISTED_STATES, and the position of the next page, or None.

    A page may hold fewer, and none, although there are more. Those in retry come in the order in which they are
    due, parked ones (of one endpoint only) in the order in which they are released, others newest first.
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
    """Return a row of the API, as of an attempt, with the last attempt's result if there was one."""
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
