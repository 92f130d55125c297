"""`hookfarm deliveries`: inspect deliveries and send them again."""

import math
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import redis

from hookfarm.cli import delivery_output
from hookfarm.cli.options import (
    MAX_LISTED,
    choice_option,
    connected,
    delivery_id_argument,
    endpoints_option,
    ids_argument,
    json_option,
    redis_options,
    settings,
    since_option,
    status_option,
    text_option,
    until_option,
    whole_option,
    yes_option,
)
from hookfarm.cli.output import confirm, plain, print_json, progress_bar, track_batches
from hookfarm.deliveries import attempts, by_state, log
from hookfarm.deliveries.filters import DELIVERED, PLACES, is_wanted
from hookfarm.deliveries.log import Delivery, LoggedAttempt, Place
from hookfarm.deliveries.state_index import Position
from hookfarm.errors import InvalidInput

MAX_SCANNED = 50_000
"""Attempts that one list reads to find matching ones."""
MAX_PROBLEMS = 20
_BATCH_SIZE = 500
_REFUSALS = {
    Place.OPEN: "on its way already",
    Place.PARKED: "on its way already",
    Place.RETRY: "waiting for its next attempt",
    Place.DELIVERED: "delivered",
    Place.DEAD: "a dead letter",
}
_Page = tuple[list[dict[str, Any]], Iterator[str], str | None]
"""Rows for programs, lines for people, and the cursor of the next page."""


@click.group()
def deliveries() -> None:
    """Inspect deliveries, and send them again.

    The data comes from the delivery log, which keeps the attempts of a week, 100,000 per endpoint, unless
    set otherwise (delivery_log_age, delivery_log_attempts).
    """


@deliveries.command(name="list")
@endpoints_option
@status_option
@choice_option("--state", "Only deliveries in this state now", "STATE", *PLACES)
@since_option
@until_option
@whole_option("--limit", 1, MAX_LISTED, "Maximum number", 50)
@text_option("--before", "Continue after this cursor of an earlier list.", "CURSOR")
@json_option
@redis_options
def list_(
    endpoints: tuple[str, ...], status: str | None, state: str | None, since_ms: int | None, until_ms: int | None,
    limit: int, before: str | None, as_json: bool, config_file: Path | None, **options: Any,
) -> None:  # fmt: skip
    """List attempts, the newest first, each with the present state of its delivery.

    With --state open, parked (of one --endpoint), retry or dead: the deliveries in that state, each with its
    last attempt; those in retry in the order in which they are due.

    \b
    Examples:
      hookfarm deliveries list --status failed --since 1h
      hookfarm deliveries list --state retry --endpoint ep_…
    """
    asked = AttemptFilter(endpoints, status, since_ms, until_ms)
    with connected(settings(config_file, **options)) as client:
        if state is None:
            rows, lines, following = _attempts(client, asked, before, limit)
        else:
            rows, lines, following = _by_state(client, state, asked, before, limit)
    if as_json:
        print_json({"attempts": rows, "next_cursor": following})
        return
    for line in lines:
        click.echo(line)
    if not rows:
        click.echo("No attempts match. See `hookfarm status` for queued deliveries and dead letters.", err=True)
    if following is not None:
        click.echo(f"There may be more: --before {following}", err=True)


@deliveries.command()
@delivery_id_argument
@json_option
@redis_options
def show(delivery_id: str, as_json: bool, config_file: Path | None, **options: Any) -> None:
    """Show one delivery: its state, every attempt with the endpoint's reply, and the payload.

    \b
    Example: hookfarm deliveries show msg_…
    """
    with connected(settings(config_file, **options)) as client:
        found = log.find(client, delivery_id)
    if as_json:
        print_json(found.public())
        return
    for line in delivery_output.delivery_lines(found):
        click.echo(line)


@deliveries.command()
@ids_argument
@endpoints_option
@status_option
@since_option
@until_option
@yes_option
@json_option
@redis_options
def redeliver(
    ids: tuple[str, ...], endpoints: tuple[str, ...], status: str | None, since_ms: int | None,
    until_ms: int | None, yes: bool, as_json: bool, config_file: Path | None, **options: Any,
) -> None:  # fmt: skip
    """Send deliveries again, with the same ids and a new retry schedule.

    Either those with these ids, or all of an --endpoint that the log has: --status failed selects those with a
    failed attempt that have not been delivered since.

    \b
    Example: hookfarm deliveries redeliver --endpoint ep_… --status failed --since 1d
    """
    if bool(ids) == bool(endpoints) or (ids and (status, since_ms, until_ms) != (None, None, None)):
        raise InvalidInput("id", "give ids, or --endpoint with --status, --since and --until")
    with connected(settings(config_file, **options)) as client:
        if ids:
            result = resend(client, ids)
        else:
            places = _resendable_places(status)
            with progress_bar("looking"):
                chosen = _ids(client, AttemptFilter(endpoints, status, since_ms, until_ms), places)
            count = "1 delivery" if len(chosen) == 1 else f"{len(chosen):,} deliveries"
            confirm(f"{count} will be sent again. Go on?", yes or not chosen)
            result = resend(client, chosen, places)
    report_resent(result, as_json)
    sys.exit(1 if ids and result.refused else 0)


# Lists


@dataclass(frozen=True)
class AttemptFilter:
    """Attempts of these endpoints (none = all), with this result, within these ms."""

    endpoints: tuple[str, ...] = ()
    status: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None

    def matches(self, attempt: LoggedAttempt) -> bool:
        """Check the result."""
        return is_wanted(self.status, attempt.status, delivered=attempt.delivered)


def _attempts(client: redis.Redis, asked: AttemptFilter, before: str | None, limit: int) -> _Page:
    with progress_bar("looking"):
        found, following = _page(client, asked, before, limit)
    places = log.places(client, [attempt.delivery for attempt in found])
    rows = [
        attempts.public(attempt, place, _cursor(asked, attempt))
        for attempt, place in zip(found, places, strict=True)
    ]
    return rows, delivery_output.attempt_lines(found, places), following


def _by_state(client: redis.Redis, state: str, asked: AttemptFilter, before: str | None, limit: int) -> _Page:
    endpoint = _single_endpoint(state, asked)
    after = None if before is None else parse_position(before)
    found: list[tuple[Position, Delivery]] = []
    while True:
        rows, after = by_state.page(client, state, endpoint, after, limit - len(found))
        found += rows
        if after is None or len(found) == limit:
            break
    public = [by_state.public(delivery, format_position(position)) for position, delivery in found]
    lines = delivery_output.deliveries_by_state_lines([delivery for _, delivery in found])
    return public, lines, None if after is None else format_position(after)


def _page(
    client: redis.Redis, asked: AttemptFilter, before: str | None, limit: int
) -> tuple[list[LoggedAttempt], str | None]:
    """Return the first `limit` matching attempts, and the cursor of the next page; None = the end."""
    found: list[LoggedAttempt] = []
    following = None
    for scanned, attempt in enumerate(_find_attempts(client, asked, before)):
        if len(found) == limit or scanned == MAX_SCANNED:
            return found, following
        following = _cursor(asked, attempt)
        if asked.matches(attempt):
            found.append(attempt)
    return found, None


def _find_attempts(
    client: redis.Redis, asked: AttemptFilter, before: str | None = None
) -> Iterator[LoggedAttempt]:
    """Return attempts of any result, the newest first. Raises InvalidInput at once if `before` is no cursor."""
    cursor, since_ms = _earlier(before, asked.until_ms), asked.since_ms or 0
    if asked.endpoints:
        return attempts.recent(client, asked.endpoints, cursor, since_ms)
    return attempts.everybodys(client, cursor, since_ms)


def _cursor(asked: AttemptFilter, attempt: LoggedAttempt) -> str:
    """Return the cursor after an attempt, in a list of the same endpoints."""
    return attempts.position(attempt) if asked.endpoints else attempt.cursor


def _earlier(before: str | None, until_ms: int | None) -> str | None:
    """Return the earlier of a cursor and a time, as a cursor."""
    if until_ms is None:
        return before
    at = "" if before is None else before.partition("-")[0]
    return before if before is not None and not (at.isdecimal() and int(at) > until_ms) else f"{until_ms + 1}-0"


def _single_endpoint(state: str, asked: AttemptFilter) -> str | None:
    """Check the options beside --state; return its endpoint, if one was given."""
    flag, given = "--endpoint", f"--state {state}"
    for other, value in (("--status", asked.status), ("--since", asked.since_ms), ("--until", asked.until_ms)):
        if value is not None:
            raise InvalidInput(other, f"does not go with {given}; give one of them")
    if len(asked.endpoints) > 1:
        raise InvalidInput(flag, f"given more than once; give one with {given}")
    if state == Place.PARKED and not asked.endpoints:
        raise InvalidInput(flag, f"is missing; {given} needs one")
    return next(iter(asked.endpoints), None)


def format_position(where: Position) -> str:
    """Return a position as a cursor."""
    return f"{where.at:.17g}/{where.id}"


def parse_position(cursor: str) -> Position:
    """Return the position of a cursor. Raises InvalidInput if `format_position` did not make it."""
    at, _, delivery_id = cursor.partition("/")
    try:
        number = float(at)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or not delivery_id:
        raise InvalidInput("before", f"{cursor!r} is not a cursor; take one from an earlier list")
    return Position(number, delivery_id)


# Sending again


@dataclass
class ResendResult:
    """How many were sent, and the reasons why others were not, by id."""

    sent: int = 0
    refused: dict[str, str] = field(default_factory=dict)


def resend(client: redis.Redis, ids: Sequence[str], places: Collection[Place] = tuple(Place)) -> ResendResult:
    """Send these deliveries again, in order, if they are in one of `places`."""
    result = ResendResult()
    for batch in track_batches(ids, "sending"):
        found = []
        for delivery_id, delivery in zip(batch, log.find_all(client, batch), strict=True):
            if delivery is None:
                result.refused[delivery_id] = f"no delivery {delivery_id!r}, or not any more"
            elif delivery.place not in places:
                result.refused[delivery_id] = f"{delivery_id} is {_REFUSALS[delivery.place]}"
            else:
                found.append(delivery)
        for delivery, conflict in zip(found, log.send_all_again(client, found), strict=True):
            if conflict is None:
                result.sent += 1
            else:
                result.refused[delivery.id] = str(conflict)
    return result


def report_resent(result: ResendResult, as_json: bool) -> None:
    """Print how many were sent on stdout, and why others were not on stderr."""
    if as_json:
        print_json({"sent": result.sent, "refused": result.refused})
        return
    click.echo(f"sent again {result.sent:,}")
    problems = list(result.refused.values())
    for problem in problems[:MAX_PROBLEMS]:
        click.echo(f"hookfarm: {plain(problem)}", err=True)
    if len(problems) > MAX_PROBLEMS:
        click.echo(f"hookfarm: and {len(problems) - MAX_PROBLEMS:,} more", err=True)


def _resendable_places(status: str | None) -> frozenset[Place]:
    """Return the states of the deliveries that --status selects: those on their way are not sent again."""
    if status is None:
        return frozenset((Place.DELIVERED, Place.DEAD, Place.RETRY))
    if status == DELIVERED or status.startswith("2"):
        return frozenset((Place.DELIVERED,))
    return frozenset((Place.DEAD, Place.RETRY))


def _ids(client: redis.Redis, asked: AttemptFilter, places: frozenset[Place]) -> list[str]:
    """Return the deliveries with a matching attempt that are in one of these places, the oldest attempt first."""
    matching = [attempt.delivery for attempt in _find_attempts(client, asked) if asked.matches(attempt)]
    chosen = list(dict.fromkeys(reversed(matching)))
    found: list[str] = []
    for start in range(0, len(chosen), _BATCH_SIZE):
        batch = chosen[start : start + _BATCH_SIZE]
        there = zip(batch, log.places(client, batch), strict=True)
        found += (delivery_id for delivery_id, place in there if place in places)
    return found
