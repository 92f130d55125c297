"""What is open, parked, waits for a retry or is dead now: deliveries by where they stand, a page at a time."""

from typing import Any

import redis

from hookfarm.deliveries import log, state_index
from hookfarm.deliveries.log import Delivery
from hookfarm.deliveries.state_index import LAST_MS, Choice, Position
from hookfarm.store import keys


def page(
    client: "redis.Redis", place: str, endpoint: str | None, after: Position | None, limit: int
) -> tuple[list[tuple[Position, Delivery]], Position | None]:
    """At most `limit` of those in `place`, one of PLACES, and where to go on behind; None = there are no more.

    It may hold fewer, and none, although there are more. What waits for a retry comes in the order in which it is
    due, what is parked in the order in which it goes on, the others the newest first. What is parked is known of
    one endpoint only.
    """
    there = _positions(client, place, endpoint, after, limit + 1)
    here = there[:limit]
    found = log.find_all(client, [position.id for position in here])
    rows = [
        (position, delivery)
        for delivery, position in zip(found, here, strict=True)
        if delivery is not None and delivery.place == place and endpoint in (None, delivery.endpoint)
    ]
    return rows, here[-1] if len(there) > limit else None


def _positions(
    client: "redis.Redis", place: str, endpoint: str | None, after: Position | None, count: int
) -> list[Position]:
    if place == "dead":
        return state_index.dead(client, Choice(endpoint), after, count)
    if place == "retry":
        return state_index.retry(client, endpoint, after, count)
    key = keys.OPEN if place == "open" else f"{keys.PARKED}{endpoint}"
    return state_index.by_score(
        client, key, after, count, (0, float(LAST_MS) * 1000), newest_first=place == "open"
    )


def public(delivery: Delivery, cursor: str) -> dict[str, Any]:
    """As a line of the log, with the last attempt that was made, if one was."""
    last = delivery.attempts[-1] if delivery.attempts else {}
    result = last.get("status", last.get("error"))
    return {
        "cursor": cursor,
        "at_ms": int(last["at"] * 1000) if "at" in last else None,
        "id": delivery.id,
        "endpoint": delivery.endpoint,
        "attempt": len(delivery.attempts),
        "result": None if result is None else str(result),
        "delivered": False,
        "duration_ms": last.get("duration_ms"),
        "now": delivery.place,
    }
