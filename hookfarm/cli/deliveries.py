"""`hookfarm deliveries`: what became of each delivery, and again."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hookfarm.cli import deliveries_forms as forms
from hookfarm.cli.numbers import whole_option
from hookfarm.cli.options import connected, json_option, print_json, redis_options, settings
from hookfarm.errors import InvalidInput

if TYPE_CHECKING:
    import redis

    from hookfarm.deliveries.filters import AttemptFilter

MAX_SCANNED = 50_000
"""Attempts that are read for one list."""

_Page = tuple[list[dict[str, Any]], Iterator[str], str | None]
"""Rows for programs, lines for people, and the cursor from which to go on."""


@click.group()
def deliveries() -> None:
    """See what became of deliveries, and send them again.

    What is shown comes from the delivery log, which keeps the attempts of a week, 100,000 an endpoint, unless
    set otherwise (delivery_log_age, delivery_log_attempts).
    """


@deliveries.command(name="list")
@forms.endpoints_option
@forms.status_option
@forms.state_option
@forms.since_option
@forms.until_option
@whole_option("--limit", 1, forms.MOST_LISTED, "How many at most", 50)
@forms.text_option("--before", "Go on behind this cursor of an earlier list.", "CURSOR")
@json_option
@redis_options
def list_(
    endpoints: tuple[str, ...], status: str | None, state: str | None, since_ms: int | None, until_ms: int | None,
    limit: int, before: str | None, as_json: bool, config_file: Path | None, **options: Any,
) -> None:  # fmt: skip
    """List attempts, the newest first, and where their deliveries are now.

    With --state open, parked (of one --endpoint), retry or dead: the deliveries that are there now, each with its
    last attempt; those in retry in the order in which they are due.

    \b
    Examples:
      hookfarm deliveries list --status failed --since 1h
      hookfarm deliveries list --state retry --endpoint ep_…
    """
    from hookfarm.deliveries.filters import AttemptFilter

    if state is not None:
        _check_state_options(state, endpoints, status, since_ms, until_ms)
    with connected(settings(config_file, **options)) as client:
        if state is None:
            attempt_filter = AttemptFilter(endpoints, status, since_ms or 0, until_ms)
            rows, lines, following = _attempts(client, attempt_filter, before, limit)
        else:
            rows, lines, following = _in_state(client, state, next(iter(endpoints), None), before, limit)
    if as_json:
        print_json({"attempts": rows, "next": following})
        return
    for line in lines:
        click.echo(line)
    if not rows:
        click.echo("None. `hookfarm status` shows what is on its way, what waits and what was given up.", err=True)
    if following is not None:
        click.echo(f"There may be more: --before {following}", err=True)


@deliveries.command()
@forms.id_argument
@json_option
@redis_options
def show(delivery_id: str, as_json: bool, config_file: Path | None, **options: Any) -> None:
    """Show one delivery: where it is, every attempt with what the endpoint said, and the payload.

    \b
    Example: hookfarm deliveries show msg_…
    """
    from hookfarm.cli import deliveries_shown
    from hookfarm.deliveries import log

    with connected(settings(config_file, **options)) as client:
        found = log.find(client, delivery_id)
    if as_json:
        print_json(found.as_json())
        return
    for line in deliveries_shown.delivery_lines(found):
        click.echo(line)


@deliveries.command()
@forms.ids_argument
@forms.endpoints_option
@forms.status_option
@forms.since_option
@forms.until_option
@forms.yes_option
@json_option
@redis_options
def redeliver(
    ids: tuple[str, ...], endpoints: tuple[str, ...], status: str | None, since_ms: int | None,
    until_ms: int | None, yes: bool, as_json: bool, config_file: Path | None, **options: Any,
) -> None:  # fmt: skip
    """Send deliveries again, under the same ids, on a retry schedule that begins anew.

    Either those with these ids, or all of an --endpoint that the log has: --status failed are those with a
    failed attempt that have not been delivered since.

    \b
    Example: hookfarm deliveries redeliver --endpoint ep_… --status failed --since 1d
    """
    from hookfarm.cli import bars, deliveries_again
    from hookfarm.deliveries import redelivery
    from hookfarm.deliveries.filters import AttemptFilter

    if bool(ids) == bool(endpoints) or (ids and (status, since_ms, until_ms) != (None, None, None)):
        raise InvalidInput("id", "give ids, or --endpoint with --status, --since and --until")
    with connected(settings(config_file, **options)) as client:
        if ids:
            tally = deliveries_again.send(client, ids)
        else:
            states = redelivery.states_to_redeliver(status)
            with bars.bar("looking"):
                attempt_filter = AttemptFilter(endpoints, status, since_ms or 0, until_ms)
                chosen = redelivery.find_ids(client, attempt_filter, states)
            count = "1 delivery" if len(chosen) == 1 else f"{len(chosen):,} deliveries"
            deliveries_again.confirm(f"{count} will be sent again. Go on?", yes or not chosen)
            tally = deliveries_again.send(client, chosen, states)
    deliveries_again.report(tally, as_json)
    sys.exit(1 if ids and tally.refused else 0)


def _check_state_options(
    state: str, endpoints: tuple[str, ...], status: str | None, since_ms: int | None, until_ms: int | None
) -> None:
    for option, value in (("--status", status), ("--since", since_ms), ("--until", until_ms)):
        if value is not None:
            raise InvalidInput(option, f"does not go with --state {state}")
    if len(endpoints) > 1:
        raise InvalidInput("--endpoint", f"give one with --state {state}")
    if state == "parked" and not endpoints:
        raise InvalidInput("--endpoint", f"--state {state} needs one")


def _attempts(client: "redis.Redis", attempt_filter: "AttemptFilter", before: str | None, limit: int) -> _Page:
    from hookfarm.cli import bars, deliveries_shown
    from hookfarm.deliveries import attempts, log

    with bars.bar("looking"):
        found, following = attempts.find(client, attempt_filter, before, limit, MAX_SCANNED)
    states = log.states(client, [attempt.delivery for attempt in found])
    rows = [
        attempts.as_json(attempt, state, attempts.cursor(attempt_filter, attempt))
        for attempt, state in zip(found, states, strict=True)
    ]
    return rows, deliveries_shown.attempt_lines(found, states), following


def _in_state(client: "redis.Redis", state: str, endpoint: str | None, before: str | None, limit: int) -> _Page:
    from hookfarm.cli import deliveries_shown
    from hookfarm.deliveries import by_state
    from hookfarm.deliveries.state_index import Position

    after = None if before is None else Position.from_cursor(before)
    found, following = by_state.find(client, state, endpoint, after, limit)
    rows = [by_state.as_json(delivery, position.as_cursor()) for position, delivery in found]
    lines = deliveries_shown.state_lines([delivery for _, delivery in found])
    return rows, lines, None if following is None else following.as_cursor()
