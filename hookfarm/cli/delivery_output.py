"""Text output of deliveries, attempts and dead letters."""

from collections.abc import Iterator, Sequence
from typing import Any

import click

from hookfarm.cli.output import UNKNOWN, columns, duration_of_attempt, indented, plain, time_of
from hookfarm.deliveries.log import Delivery, DeliveryState, LoggedAttempt

_TRIMMED = "trimmed"
_GARBAGE = "(invalid)"
_TIME_LABELS = {DeliveryState.RETRY: "next", DeliveryState.DEAD: "died", DeliveryState.DELIVERED: "delivered"}


def attempt_lines(attempts: Sequence[LoggedAttempt], states: Sequence[DeliveryState | None]) -> Iterator[str]:
    """Yield a table of attempts, each with the current state of its delivery."""
    rows = [("at", "delivery", "endpoint", "attempt", "result", "duration", "state")]
    for attempt, state in zip(attempts, states, strict=True):
        took = duration_of_attempt(attempt.duration_ms)
        number, now = f"#{attempt.number}", state.value if state else _TRIMMED
        cells = (time_of(attempt.at_ms), attempt.delivery, attempt.endpoint, number, attempt.result, took, now)
        rows.append(cells)
    return columns(rows)


def deliveries_by_state_lines(deliveries: Sequence[Delivery]) -> Iterator[str]:
    """Yield a table of deliveries of one state, with their last and next attempt."""
    rows = [("last attempt", "delivery", "endpoint", "attempts", "result", "duration", "state", "next")]
    for delivery in deliveries:
        last = delivery.attempts[-1] if delivery.attempts else None
        at = time_of(int(last["at"] * 1000)) if last else UNKNOWN
        took = (
            duration_of_attempt(last["duration_ms"]) if last and last.get("duration_ms") is not None else UNKNOWN
        )
        due = time_of(delivery.at_ms) if delivery.state is DeliveryState.RETRY else UNKNOWN
        identity = (delivery.id, delivery.endpoint or _GARBAGE, str(len(delivery.attempts)))
        rows.append((at, *identity, _result(last) if last else UNKNOWN, took, delivery.state.value, due))
    return columns(rows)


def dead_letter_lines(letters: Sequence[Delivery]) -> Iterator[str]:
    """Yield a table of dead letters; `last` is a dash without an attempt, or if it equals the reason."""
    rows = [("died", "id", "endpoint", "attempts", "last", "reason")]
    for letter in letters:
        reason = plain(letter.reason or "")
        last = _result(letter.attempts[-1]) if letter.attempts else UNKNOWN
        last = UNKNOWN if last == reason else last
        endpoint = letter.endpoint or _GARBAGE
        rows.append((time_of(letter.at_ms), letter.id, endpoint, str(len(letter.attempts)), last, reason))
    return columns(rows)


def delivery_lines(delivery: Delivery) -> Iterator[str]:
    """Yield the lines of one delivery: state, attempts with their replies, payload."""
    yield f"{'id':10} {delivery.id}"
    yield f"{'endpoint':10} {delivery.endpoint or '(invalid job)'}"
    yield f"{'state':10} {_coloured(delivery.state)}"
    if delivery.at_ms is not None and delivery.state in _TIME_LABELS:
        yield f"{_TIME_LABELS[delivery.state]:10} {time_of(delivery.at_ms)}"
    for name, value in (("reason", delivery.reason), ("source", delivery.source)):
        if value is not None:
            yield f"{name:10} {plain(value)}"
    yield f"{'attempts':10} {len(delivery.attempts)}"
    for attempt in delivery.attempts:
        yield from _attempt_lines(attempt)
    yield "payload"
    yield from (f"  {line}" for line in indented(delivery.payload.decode("utf-8", "replace")))


def _attempt_lines(attempt: dict[str, Any]) -> Iterator[str]:
    duration_ms = attempt.get("duration_ms")
    parts = [time_of(int(attempt["at"] * 1000)), _result(attempt)]
    if duration_ms is not None:
        parts.append(duration_of_attempt(duration_ms))
    yield "  " + "  ".join(parts)
    if attempt.get("detail"):
        yield f"    {plain(attempt['detail'])}"


def _result(attempt: dict[str, Any]) -> str:
    return f"HTTP {attempt['status']}" if "status" in attempt else plain(str(attempt.get("error", UNKNOWN)))


def _coloured(state: DeliveryState) -> str:
    colours = {DeliveryState.DELIVERED: "green", DeliveryState.DEAD: "red", DeliveryState.RETRY: "yellow"}
    return click.style(state.value, fg=colours[state]) if state in colours else state.value
