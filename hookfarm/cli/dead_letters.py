"""`hookfarm dead-letters`: what could not be delivered, and why; sent again, or forgotten."""

import sys
from itertools import islice
from pathlib import Path
from typing import Any

import click

from hookfarm.cli import deliveries_forms as forms
from hookfarm.cli.numbers import whole_option
from hookfarm.cli.options import F, connected, json_option, print_json, redis_options, settings
from hookfarm.errors import InvalidInput


@click.group(name="dead-letters")
def dead_letters() -> None:
    """What was given up: list it, send it again, or forget it.

    Reasons: exhausted (the whole schedule failed), endpoint_gone (it answered 410), endpoint_removed,
    endpoint_invalid, worker_lost (it cost too many workers). What was no job at all is garbage: it has no
    endpoint and can be shown (deliveries show ID) and purged, not sent again.
    """


def _choice(command: F) -> F:
    endpoint = forms.text_option("--endpoint", 'Only of this endpoint; "" is garbage.', "EP")
    reason = forms.text_option("--reason", "Only for this reason, or its first word.", "REASON")
    return endpoint(reason(command))


_all_option = click.option("--all", "everything", is_flag=True, help="All that --endpoint and --reason leave.")


@dead_letters.command(name="list")
@_choice
@whole_option("--limit", 1, forms.MOST_LISTED, "How many at most", 50)
@json_option
@redis_options
def list_(
    endpoint: str | None, reason: str | None, limit: int, as_json: bool, config_file: Path | None, **options: Any
) -> None:
    """List dead letters, the newest first."""
    from hookfarm import dead_letters
    from hookfarm.cli import deliveries_shown
    from hookfarm.place_index import Choice

    with connected(settings(config_file, **options)) as client:
        found = list(islice(dead_letters.every(client, Choice(endpoint, reason)), limit + 1))
    letters, more = found[:limit], len(found) > limit
    if as_json:
        print_json([letter.public() for letter in letters])
        return
    for line in deliveries_shown.dead_letter_lines(letters):
        click.echo(line)
    if more:
        click.echo(f"There are more than {limit:,}; see --limit.", err=True)


@dead_letters.command()
@forms.ids_argument
@_all_option
@_choice
@json_option
@redis_options
def redrive(
    ids: tuple[str, ...], everything: bool, endpoint: str | None, reason: str | None, as_json: bool,
    config_file: Path | None, **options: Any,
) -> None:  # fmt: skip
    """Send dead letters again, under the same ids, on a retry schedule that begins anew; the oldest first.

    \b
    Example: hookfarm dead-letters redrive --all --endpoint ep_… --reason exhausted
    """
    from hookfarm import dead_letters, delivery_log
    from hookfarm.cli import deliveries_again
    from hookfarm.place_index import Choice

    _check_choice(ids, everything, endpoint, reason)
    with connected(settings(config_file, **options)) as client:
        chosen = ids or dead_letters.ids(client, Choice(endpoint, reason))
        tally = deliveries_again.send(client, chosen, (delivery_log.Place.DEAD,))
    deliveries_again.report(tally, as_json)
    sys.exit(1 if ids and tally.refused else 0)


@dead_letters.command()
@forms.ids_argument
@_all_option
@_choice
@forms.yes_option
@redis_options
def purge(
    ids: tuple[str, ...], everything: bool, endpoint: str | None, reason: str | None, yes: bool,
    config_file: Path | None, **options: Any,
) -> None:  # fmt: skip
    """Forget dead letters for good. What was never delivered is then lost."""
    from hookfarm import dead_letters
    from hookfarm.cli import deliveries_again
    from hookfarm.place_index import Choice

    _check_choice(ids, everything, endpoint, reason)
    with connected(settings(config_file, **options)) as client:
        chosen = ids or dead_letters.ids(client, Choice(endpoint, reason))
        deliveries_again.confirm(f"{len(chosen):,} dead letters will be lost for good. Go on?", yes or not chosen)
        if ids:
            missing = [letter for letter in ids if not dead_letters.purge(client, [letter])]
            purged = len(ids) - len(missing)
        else:
            missing = []
            batches = deliveries_again.in_batches(chosen, "purging")
            purged = sum(dead_letters.purge(client, batch) for batch in batches)
    click.echo(f"purged {purged:,}")
    for letter in missing:
        click.echo(f"hookfarm: no dead letter {letter!r}", err=True)
    sys.exit(1 if missing else 0)


def _check_choice(ids: tuple[str, ...], everything: bool, endpoint: str | None, reason: str | None) -> None:
    if bool(ids) == everything or (ids and (endpoint, reason) != (None, None)):
        raise InvalidInput("id", "give ids, or --all with --endpoint and --reason")
