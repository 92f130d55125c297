"""`hookfarm dead-letters`: list, redrive and purge dead letters."""

import sys
from pathlib import Path
from typing import Any

import click
import redis

from hookfarm.cli import delivery_output
from hookfarm.cli.deliveries import redeliver_all, report_redelivered
from hookfarm.cli.options import (
    MAX_LISTED,
    F,
    connected,
    endpoint_ids,
    ids_argument,
    json_option,
    redis_options,
    settings,
    since_option,
    text_option,
    until_option,
    whole_option,
    yes_option,
)
from hookfarm.cli.output import confirm, print_json, progress_bar, track_batches
from hookfarm.deliveries import dead_letters as letters_store
from hookfarm.deliveries.filters import LAST_MS, DeadLetterFilter
from hookfarm.deliveries.log import Delivery, DeliveryState
from hookfarm.deliveries.state_index import Position
from hookfarm.errors import InvalidInput


@click.group(name="dead-letters")
def dead_letters() -> None:
    """List, redrive or purge dead letters: deliveries that are not tried again.

    Reasons: exhausted (all retries failed), endpoint_gone (HTTP 410), endpoint_removed, endpoint_invalid,
    worker_lost (too many workers died with it). Invalid jobs have no endpoint: inspect them with
    `deliveries show ID`, or purge them.
    """


def _choice(command: F) -> F:
    endpoint = text_option("--endpoint", 'Only this endpoint; "" = invalid jobs.', "EP", endpoint_ids)
    reason = text_option("--reason", "Only this reason; its first word is enough.", "REASON")
    return endpoint(reason(since_option(until_option(command))))


_all_option = click.option("--all", "everything", is_flag=True, help="Apply to all matching.")


@dead_letters.command(name="list")
@_choice
@whole_option("--limit", 1, MAX_LISTED, "Maximum number of dead letters", 50)
@text_option("--before", "Continue after this cursor of an earlier list.", "CURSOR")
@json_option
@redis_options
def list_(
    limit: int, before: str | None, as_json: bool, config_file: Path | None,
    endpoint: str | None, reason: str | None, since_ms: int | None, until_ms: int | None, **options: Any,
) -> None:  # fmt: skip
    """List dead letters, newest first.

    \b
    Example: hookfarm dead-letters list --reason exhausted --since 1d
    """
    after = None if before is None else Position.from_cursor(before)
    where = _filter(endpoint, reason, since_ms, until_ms)
    with connected(settings(config_file, **options)) as client:
        letters, following = letters_store.find(client, where, after, limit)
    if as_json:
        print_json([{"cursor": _cursor(letter), **letter.as_json()} for letter in letters])
        return
    for line in delivery_output.dead_letter_lines(letters):
        click.echo(line)
    if following is not None:
        click.echo(f"More results: --before {following.as_cursor()}", err=True)


@dead_letters.command()
@ids_argument
@_all_option
@_choice
@json_option
@redis_options
def redrive(
    ids: tuple[str, ...], everything: bool, as_json: bool, config_file: Path | None,
    endpoint: str | None, reason: str | None, since_ms: int | None, until_ms: int | None, **options: Any,
) -> None:  # fmt: skip
    """Redrive dead letters, oldest first.

    They keep their ids and get a new retry schedule.

    \b
    Example: hookfarm dead-letters redrive --all --endpoint ep_… --reason exhausted
    """
    _check_choice(ids, everything, (endpoint, reason, since_ms, until_ms))
    with connected(settings(config_file, **options)) as client:
        chosen = ids or _ids(client, _filter(endpoint, reason, since_ms, until_ms))
        result = redeliver_all(client, chosen, (DeliveryState.DEAD,))
    report_redelivered(result, as_json)
    sys.exit(1 if ids and result.refused else 0)


@dead_letters.command()
@ids_argument
@_all_option
@_choice
@yes_option
@json_option
@redis_options
def purge(
    ids: tuple[str, ...], everything: bool, yes: bool, as_json: bool, config_file: Path | None,
    endpoint: str | None, reason: str | None, since_ms: int | None, until_ms: int | None, **options: Any,
) -> None:  # fmt: skip
    """Delete dead letters permanently.

    Their webhooks are lost.

    \b
    Example: hookfarm dead-letters purge --all --reason endpoint_removed --until 30d
    """
    _check_choice(ids, everything, (endpoint, reason, since_ms, until_ms))
    with connected(settings(config_file, **options)) as client:
        chosen = ids or _ids(client, _filter(endpoint, reason, since_ms, until_ms))
        confirm(f"{len(chosen):,} dead letters will be deleted permanently. Continue?", yes or not chosen)
        if ids:
            missing = [letter for letter in ids if not letters_store.purge(client, [letter])]
            purged = len(ids) - len(missing)
        else:
            missing = []
            purged = sum(letters_store.purge(client, batch) for batch in track_batches(chosen, "purging"))
    _report_purged(purged, missing, as_json)
    sys.exit(1 if missing else 0)


def _report_purged(purged: int, missing: list[str], as_json: bool) -> None:
    if as_json:
        print_json({"purged": purged, "missing": missing})
        return
    click.echo(f"purged {purged:,}")
    for letter in missing:
        click.echo(f"hookfarm: dead letter {letter!r} not found", err=True)


def _check_choice(ids: tuple[str, ...], everything: bool, choice: tuple[object, ...]) -> None:
    if bool(ids) == everything or (ids and any(given is not None for given in choice)):
        raise InvalidInput("id", "give ids, or --all with --endpoint, --reason, --since and --until")


def _filter(
    endpoint: str | None, reason: str | None, since_ms: int | None, until_ms: int | None
) -> DeadLetterFilter:
    return DeadLetterFilter(endpoint, reason, since_ms or 0, LAST_MS if until_ms is None else until_ms)


def _ids(client: redis.Redis, where: DeadLetterFilter) -> list[str]:
    with progress_bar("searching"):
        return letters_store.ids(client, where)


def _cursor(letter: Delivery) -> str:
    return Position(float(letter.at_ms or 0), letter.id).as_cursor()
