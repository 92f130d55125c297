"""Deliveries, attempts and dead letters as people read them."""

from collections.abc import Iterator, Sequence
from typing import Any

import click

from hookfarm.cli.tables import columns, indented, moment, plain
from hookfarm.cli.view_numbers import UNKNOWN, duration
from hookfarm.deliveries.log import Delivery, DeliveryState, LoggedAttempt

_GONE = "forgotten"
_GARBAGE = "(garbage)"
_WHEN = {DeliveryState.RETRY: "next", DeliveryState.DEAD: "died", DeliveryState.DELIVERED: "delivered"}
"""What a delivery's time is the time of."""


def attempt_lines(attempts: Sequence[LoggedAttempt], states: Sequence[DeliveryState | None]) -> Iterator[str]:
    rows = [("at", "delivery", "endpoint", "attempt", "result", "duration", "state")]
    for attempt, state in zip(attempts, states, strict=True):
        took = duration_text(attempt.duration_ms)
        number, now = f"#{attempt.number}", state.value if state else _GONE
        rows.append((moment(attempt.at_ms), attempt.delivery, attempt.endpoint, number, attempt.result, took, now))
    return columns(rows)


def state_lines(deliveries: Sequence[Delivery]) -> Iterator[str]:
    """Deliveries in one state, with the times of their last and next attempts."""
    rows = [("last attempt", "delivery", "endpoint", "attempts", "result", "duration", "state", "next")]
    for delivery in deliveries:
        last = delivery.attempts[-1] if delivery.attempts else None
        at = moment(int(last["at"] * 1000)) if last else UNKNOWN
        took = duration_text(last["duration_ms"]) if last and last.get("duration_ms") is not None else UNKNOWN
        due = moment(delivery.at_ms) if delivery.state is DeliveryState.RETRY else UNKNOWN
        columns_ = (delivery.id, delivery.endpoint or _GARBAGE, str(len(delivery.attempts)))
        rows.append((at, *columns_, _result(last) if last else UNKNOWN, took, delivery.state.value, due))
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
    yield f"{'state':10} {_coloured(delivery.state)}"
    if delivery.at_ms is not None and delivery.state in _WHEN:
        yield f"{_WHEN[delivery.state]:10} {moment(delivery.at_ms)}"
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
        parts.append(duration_text(duration_ms))
    yield "  " + "  ".join(parts)
    if attempt.get("detail"):
        yield f"    {plain(attempt['detail'])}"


def duration_text(duration_ms: int) -> str:
    """It is kept in whole ms."""
    return duration(duration_ms / 1000) if duration_ms else "<1 ms"


def _result(attempt: dict[str, Any]) -> str:
    return f"HTTP {attempt['status']}" if "status" in attempt else plain(str(attempt.get("error", UNKNOWN)))


def _coloured(state: DeliveryState) -> str:
    colours = {DeliveryState.DELIVERED: "green", DeliveryState.DEAD: "red", DeliveryState.RETRY: "yellow"}
    return click.style(state.value, fg=colours[state]) if state in colours else state.value
