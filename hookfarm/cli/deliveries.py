"""`hookfarm deliveries`: what became of each delivery, and again."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hookfarm.attempt_results import DELIVERED, is_wanted
from hookfarm.cli import deliveries_forms as forms
from hookfarm.cli.numbers import whole_option
from hookfarm.cli.options import connected, json_option, print_json, redis_options, settings
from hookfarm.errors import InvalidInput

if TYPE_CHECKING:
    import redis

    from hookfarm.delivery_log import LoggedAttempt, Place

MOST_ENDPOINTS = 1000
MOST_LOOKED_AT = 50_000
"""Attempts that one list reads through for those that it is asked for."""
_AT_ONCE = 500


@click.group()
def deliveries() -> None:
    """See what became of deliveries, and send them again.

    What is shown comes from the delivery log, which keeps the attempts of a week, 100,000 an endpoint, unless
    set otherwise (delivery_log_age, delivery_log_attempts).
    """


@deliveries.command(name="list")
@forms.endpoints_option
@forms.status_option
@forms.since_option
@whole_option("--limit", 1, forms.MOST_LISTED, "How many at most", 50)
@forms.text_option("--before", "Go on behind this cursor of an earlier list.", "CURSOR")
@json_option
@redis_options
def list_(
    endpoints: tuple[str, ...], status: str | None, since_ms: int, limit: int, before: str | None, as_json: bool,
    config_file: Path | None, **options: Any,
) -> None:  # fmt: skip
    """List attempts, the newest first, and where their deliveries are now.

    \b
    Example: hookfarm deliveries list --status failed --since 1h
    """
    from hookfarm import delivery_log, recent_attempts
    from hookfarm.cli import deliveries_shown

    with connected(settings(config_file, **options)) as client:
        attempts = recent_attempts.recent(client, _logged(client, endpoints), before, since_ms)
        found, cursor = _matching(attempts, status, limit)
        places = delivery_log.places(client, [attempt.delivery for attempt in found])
    if as_json:
        lines = [
            recent_attempts.public(attempt, place, recent_attempts.position(attempt))
            for attempt, place in zip(found, places, strict=True)
        ]
        print_json({"attempts": lines, "next": cursor})
        return
    for line in deliveries_shown.attempt_lines(found, places):
        click.echo(line)
    if cursor is not None:
        click.echo(f"There may be more: --before {cursor}", err=True)


@deliveries.command()
@forms.id_argument
@json_option
@redis_options
def show(delivery_id: str, as_json: bool, config_file: Path | None, **options: Any) -> None:
    """Show one delivery: where it is, every attempt with what the endpoint said, and the payload."""
    from hookfarm import delivery_log
    from hookfarm.cli import deliveries_shown

    with connected(settings(config_file, **options)) as client:
        found = delivery_log.find(client, delivery_id)
    if as_json:
        print_json(found.public())
        return
    for line in deliveries_shown.delivery_lines(found):
        click.echo(line)


@deliveries.command()
@forms.ids_argument
@forms.endpoints_option
@forms.status_option
@forms.since_option
@forms.yes_option
@json_option
@redis_options
def redeliver(
    ids: tuple[str, ...], endpoints: tuple[str, ...], status: str | None, since_ms: int, yes: bool, as_json: bool,
    config_file: Path | None, **options: Any,
) -> None:  # fmt: skip
    """Send deliveries again, under the same ids, on a retry schedule that begins anew.

    Either those with these ids, or all of an --endpoint that the log has: --status failed are those with a
    failed attempt that have not been delivered since.

    \b
    Example: hookfarm deliveries redeliver --endpoint ep_… --status failed --since 1d
    """
    from hookfarm.cli import deliveries_again

    if bool(ids) == bool(endpoints) or (ids and (status is not None or since_ms)):
        raise InvalidInput("id", "give ids, or --endpoint with --status and --since")
    with connected(settings(config_file, **options)) as client:
        if ids:
            tally = deliveries_again.send(client, ids)
        else:
            wanted = _places_wanted(status)
            chosen = _chosen(client, endpoints, status, since_ms, wanted)
            deliveries_again.confirm(f"{len(chosen):,} deliveries will be sent again. Go on?", yes or not chosen)
            tally = deliveries_again.send(client, chosen, wanted)
    deliveries_again.report(tally, as_json)
    sys.exit(1 if ids and tally.refused else 0)


def _logged(client: "redis.Redis", endpoints: tuple[str, ...]) -> list[str]:
    """The endpoints asked for, or else all that have a log."""
    from hookfarm import delivery_log

    if endpoints:
        return list(endpoints)
    logged = delivery_log.logged_endpoints(client)
    if len(logged) > MOST_ENDPOINTS:
        raise InvalidInput("--endpoint", f"{len(logged):,} endpoints have a log, too many to merge; name some")
    return sorted(logged)


def _matching(
    attempts: Iterator["LoggedAttempt"], status: str | None, limit: int
) -> "tuple[list[LoggedAttempt], str | None]":
    """The first `limit` that are wanted, and the position from which to go on; None = there are no more."""
    from hookfarm.recent_attempts import position

    found: list[LoggedAttempt] = []
    cursor = None
    for looked_at, attempt in enumerate(attempts):
        if len(found) == limit or looked_at == MOST_LOOKED_AT:
            return found, cursor
        cursor = position(attempt)
        if is_wanted(status, attempt.status, delivered=attempt.delivered):
            found.append(attempt)
    return found, None


def _places_wanted(status: str | None) -> "frozenset[Place]":
    """Where a delivery is that is meant by --status: what is on its way is not sent again."""
    from hookfarm.delivery_log import Place

    if status is None:
        return frozenset((Place.DELIVERED, Place.DEAD, Place.RETRY))
    if status == DELIVERED or status.startswith("2"):
        return frozenset((Place.DELIVERED,))
    return frozenset((Place.DEAD, Place.RETRY))


def _chosen(
    client: "redis.Redis",
    endpoints: tuple[str, ...],
    status: str | None,
    since_ms: int,
    wanted: "frozenset[Place]",
) -> list[str]:
    """The deliveries with such an attempt that are in one of these places now, by their first one."""
    from hookfarm import delivery_log, recent_attempts

    attempts = recent_attempts.recent(client, endpoints, since_ms=since_ms)
    matching = [a.delivery for a in attempts if is_wanted(status, a.status, delivered=a.delivered)]
    ids = list(dict.fromkeys(reversed(matching)))
    parts = (ids[start : start + _AT_ONCE] for start in range(0, len(ids), _AT_ONCE))
    placed = (pair for part in parts for pair in zip(part, delivery_log.places(client, part), strict=True))
    return [delivery_id for delivery_id, place in placed if place in wanted]
