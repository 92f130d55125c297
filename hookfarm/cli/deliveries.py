"""`hookfarm deliveries`: inspect and redeliver deliveries."""

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
from hookfarm.deliveries import attempts, log, redelivery, state_index
from hookfarm.deliveries.filters import LISTED_STATES, AttemptFilter
from hookfarm.deliveries.log import DeliveryState
from hookfarm.deliveries.state_index import Position
from hookfarm.errors import InvalidInput

MAX_SCANNED = 50_000
"""Attempts read for one list."""
MAX_PROBLEMS = 20
_REFUSALS = {
    DeliveryState.OPEN: "queued already",
    DeliveryState.PARKED: "queued already",
    DeliveryState.RETRY: "waiting for its next attempt",
    DeliveryState.DELIVERED: "delivered",
    DeliveryState.DEAD: "a dead letter",
}
_Page = tuple[list[dict[str, Any]], Iterator[str], str | None]
"""Rows for programs, lines for people, and the cursor of the next page."""


@click.group()
def deliveries() -> None:
    """Inspect and redeliver deliveries.

    The delivery log keeps attempts for a week, at most 100,000 per endpoint. Settings: delivery_log_age,
    delivery_log_attempts.
    """


@deliveries.command(name="list")
@endpoints_option
@status_option
@choice_option("--state", "Only deliveries in this state", "STATE", *LISTED_STATES)
@since_option
@until_option
@whole_option("--limit", 1, MAX_LISTED, "Maximum number of attempts", 50)
@text_option("--before", "Continue after this cursor of an earlier list.", "CURSOR")
@json_option
@redis_options
def list_(
    endpoints: tuple[str, ...], status: str | None, state: str | None, since_ms: int | None, until_ms: int | None,
    limit: int, before: str | None, as_json: bool, config_file: Path | None, **options: Any,
) -> None:  # fmt: skip
    """List attempts, newest first.

    Each has the current state of its delivery. --state lists the deliveries in that state, each with its last
    attempt. `parked` requires one --endpoint. `retry` is sorted by due time.

    \b
    Examples:
      hookfarm deliveries list --status failed --since 1h
      hookfarm deliveries list --state retry --endpoint ep_…
    """
    if state is not None:
        _check_options_with_state(state, endpoints, status, since_ms, until_ms)
    with connected(settings(config_file, **options)) as client:
        if state is None:
            attempt_filter = AttemptFilter(endpoints, status, since_ms or 0, until_ms)
            rows, lines, following = _attempts(client, attempt_filter, before, limit)
        else:
            rows, lines, following = _by_state(client, state, next(iter(endpoints), None), before, limit)
    if as_json:
        print_json({"attempts": rows, "next_cursor": following})
        return
    for line in lines:
        click.echo(line)
    if not rows:
        click.echo("No attempts match. See `hookfarm status` for queued deliveries and dead letters.", err=True)
    if following is not None:
        click.echo(f"There may be more results: --before {following}", err=True)


@deliveries.command()
@delivery_id_argument
@json_option
@redis_options
def show(delivery_id: str, as_json: bool, config_file: Path | None, **options: Any) -> None:
    """Show one delivery.

    It shows the state, every attempt with the endpoint's reply, and the payload.

    \b
    Example: hookfarm deliveries show msg_…
    """
    with connected(settings(config_file, **options)) as client:
        found = log.find(client, delivery_id)
    if as_json:
        print_json(found.as_json())
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
    """Redeliver deliveries.

    They keep their ids and get a new retry schedule. Select deliveries by id, or by --endpoint from the delivery
    log. --status failed selects undelivered ones with a failed attempt.

    \b
    Example: hookfarm deliveries redeliver --endpoint ep_… --status failed --since 1d
    """
    if bool(ids) == bool(endpoints) or (ids and (status, since_ms, until_ms) != (None, None, None)):
        raise InvalidInput("id", "give ids, or --endpoint with --status, --since and --until")
    with connected(settings(config_file, **options)) as client:
        if ids:
            result = redeliver_all(client, ids)
        else:
            states = redelivery.states_to_redeliver(status)
            with progress_bar("searching"):
                attempt_filter = AttemptFilter(endpoints, status, since_ms or 0, until_ms)
                chosen = redelivery.find_ids(client, attempt_filter, states)
            count = "1 delivery" if len(chosen) == 1 else f"{len(chosen):,} deliveries"
            confirm(f"{count} will be redelivered. Continue?", yes or not chosen)
            result = redeliver_all(client, chosen, states)
    report_redelivered(result, as_json)
    sys.exit(1 if ids and result.refused else 0)


# Lists


def _attempts(client: redis.Redis, attempt_filter: AttemptFilter, before: str | None, limit: int) -> _Page:
    with progress_bar("searching"):
        found, following = attempts.find(client, attempt_filter, before, limit, MAX_SCANNED)
    states = log.states(client, [attempt.delivery for attempt in found])
    rows = [
        attempts.as_json(attempt, state, attempts.cursor(attempt_filter, attempt))
        for attempt, state in zip(found, states, strict=True)
    ]
    return rows, delivery_output.attempt_lines(found, states), following


def _by_state(client: redis.Redis, state: str, endpoint: str | None, before: str | None, limit: int) -> _Page:
    after = None if before is None else Position.from_cursor(before)
    found, following = state_index.find(client, state, endpoint, after, limit)
    rows = [state_index.as_json(delivery, position.as_cursor()) for position, delivery in found]
    lines = delivery_output.deliveries_by_state_lines([delivery for _, delivery in found])
    return rows, lines, None if following is None else following.as_cursor()


def _check_options_with_state(
    state: str, endpoints: tuple[str, ...], status: str | None, since_ms: int | None, until_ms: int | None
) -> None:
    flag, given = "--endpoint", f"--state {state}"
    for other, value in (("--status", status), ("--since", since_ms), ("--until", until_ms)):
        if value is not None:
            raise InvalidInput(other, f"cannot be combined with {given}; give one of them")
    if len(endpoints) > 1:
        raise InvalidInput(flag, f"is given more than once; {given} takes one")
    if state == DeliveryState.PARKED and not endpoints:
        raise InvalidInput(flag, f"is missing; {given} requires one")


# Redelivery


@dataclass
class RedeliveryResult:
    """Number of redelivered deliveries, and by id the reasons for the refused ones."""

    sent: int = 0
    refused: dict[str, str] = field(default_factory=dict)


def redeliver_all(
    client: redis.Redis, ids: Sequence[str], states: Collection[DeliveryState] = tuple(DeliveryState)
) -> RedeliveryResult:
    """Redeliver these deliveries, in order, if they are in one of `states`."""
    result = RedeliveryResult()
    for batch in track_batches(ids, "queueing"):
        found = []
        for delivery_id, delivery in zip(batch, log.find_all(client, batch), strict=True):
            if delivery is None:
                result.refused[delivery_id] = f"delivery {delivery_id!r} not found; it may have been trimmed"
            elif delivery.state not in states:
                result.refused[delivery_id] = f"{delivery_id} is {_REFUSALS[delivery.state]}"
            else:
                found.append(delivery)
        for delivery, conflict in zip(found, redelivery.redeliver_all(client, found), strict=True):
            if conflict is None:
                result.sent += 1
            else:
                result.refused[delivery.id] = str(conflict)
    return result


def report_redelivered(result: RedeliveryResult, as_json: bool) -> None:
    """Print the number of redelivered deliveries on stdout, and the refusals on stderr."""
    if as_json:
        print_json({"sent": result.sent, "refused": result.refused})
        return
    click.echo(f"redelivered {result.sent:,}")
    problems = list(result.refused.values())
    for problem in problems[:MAX_PROBLEMS]:
        click.echo(f"hookfarm: {plain(problem)}", err=True)
    if len(problems) > MAX_PROBLEMS:
        click.echo(f"hookfarm: and {len(problems) - MAX_PROBLEMS:,} more", err=True)
