"""Deliveries, attempts and dead letters as people read them."""

from collections.abc import Iterator, Sequence
from typing import Any

import click

from hookfarm.cli.tables import columns, indented, moment, plain
from hookfarm.cli.view_numbers import UNKNOWN, duration
from hookfarm.deliveries.log import Delivery, LoggedAttempt, Place

_GONE = "forgotten"
_GARBAGE = "(garbage)"
_WHEN = {Place.RETRY: "next", Place.DEAD: "died", Place.DELIVERED: "delivered"}
"""What a delivery's time is the time of."""


def attempt_lines(attempts: Sequence[LoggedAttempt], places: Sequence[Place | None]) -> Iterator[str]:
    rows = [("at", "delivery", "endpoint", "attempt", "result", "took", "now")]
    for attempt, place in zip(attempts, places, strict=True):
        lasted = took(attempt.duration_ms)
        number, now = f"#{attempt.number}", place.value if place else _GONE
        rows.append(
            (moment(attempt.at_ms), attempt.delivery, attempt.endpoint, number, attempt.status, lasted, now)
        )
    return columns(rows)


def standing_lines(deliveries: Sequence[Delivery]) -> Iterator[str]:
    """Those that stand in one place, with when the last attempt was made and when the next one is due."""
    rows = [("last attempt", "delivery", "endpoint", "attempts", "result", "took", "now", "next")]
    for delivery in deliveries:
        last = delivery.attempts[-1] if delivery.attempts else None
        at = moment(int(last["at"] * 1000)) if last else UNKNOWN
        lasted = took(last["duration_ms"]) if last and last.get("duration_ms") is not None else UNKNOWN
        due = moment(delivery.at_ms) if delivery.place is Place.RETRY else UNKNOWN
        told = (delivery.id, delivery.endpoint or _GARBAGE, str(len(delivery.attempts)))
        rows.append((at, *told, _result(last) if last else UNKNOWN, lasted, delivery.place.value, due))
    return columns(rows)


def dead_letter_lines(letters: Sequence[Delivery]) -> Iterator[str]:
    """`last` is a dash where nothing was sent: the reason says all of it."""
    rows = [("died", "id", "endpoint", "attempts", "last", "reason")]
    for letter in letters:
        last = _result(letter.attempts[-1]) if letter.attempts else UNKNOWN
        last = UNKNOWN if last == plain(letter.reason or "") else last
        endpoint = letter.endpoint or _GARBAGE
        rows.append(
            (
                moment(letter.at_ms),
                letter.id,
                endpoint,
                str(len(letter.attempts)),
                last,
                plain(letter.reason or ""),
            )
        )
    return columns(rows)


def delivery_lines(delivery: Delivery) -> Iterator[str]:
    """All of it: where it is, each attempt with what was said, and the payload."""
    yield f"{'id':10} {delivery.id}"
    yield f"{'endpoint':10} {delivery.endpoint or '(none: it was no job)'}"
    yield f"{'status':10} {_coloured(delivery.place)}"
    if delivery.at_ms is not None and delivery.place in _WHEN:
        yield f"{_WHEN[delivery.place]:10} {moment(delivery.at_ms)}"
    for name, value in (("reason", delivery.reason), ("source", delivery.source)):
        if value is not None:
            yield f"{name:10} {plain(value)}"
    yield f"{'attempts':10} {len(delivery.attempts)}"
    for attempt in delivery.attempts:
        yield from _attempt(attempt)
    yield "payload"
    yield from (f"  {line}" for line in indented(delivery.payload.decode("utf-8", "replace")))


def _attempt(attempt: dict[str, Any]) -> Iterator[str]:
    duration_ms = attempt.get("duration_ms")
    parts = [moment(int(attempt["at"] * 1000)), _result(attempt)]
    if duration_ms is not None:
        parts.append(took(duration_ms))
    yield "  " + "  ".join(parts)
    if attempt.get("detail"):
        yield f"    {plain(attempt['detail'])}"


def took(duration_ms: int) -> str:
    """It is kept in whole ms."""
    return duration(duration_ms / 1000) if duration_ms else "<1 ms"


def _result(attempt: dict[str, Any]) -> str:
    return f"HTTP {attempt['status']}" if "status" in attempt else plain(str(attempt.get("error", UNKNOWN)))


def _coloured(place: Place) -> str:
    colours = {Place.DELIVERED: "green", Place.DEAD: "red", Place.RETRY: "yellow"}
    return click.style(place.value, fg=colours[place]) if place in colours else place.value
