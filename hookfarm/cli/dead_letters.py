"""`hookfarm dead-letters`: what could not be delivered, and why; sent again, or forgotten."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hookfarm.cli import deliveries_forms as forms
from hookfarm.cli.completion import endpoint_ids
from hookfarm.cli.numbers import whole_option
from hookfarm.cli.options import F, connected, json_option, print_json, redis_options, settings
from hookfarm.errors import InvalidInput

if TYPE_CHECKING:
    import redis

    from hookfarm.deliveries.filters import DeadLetterFilter


@click.group(name="dead-letters")
def dead_letters() -> None:
    """What was given up: list it, send it again, or forget it.

    Reasons: exhausted (the whole schedule failed), endpoint_gone (it answered 410), endpoint_removed,
    endpoint_invalid, worker_lost (it cost too many workers). What was no job at all is garbage: it has no
    endpoint and can be shown (deliveries show ID) and purged, not sent again.
    """


def _choice(command: F) -> F:
    endpoint = forms.text_option("--endpoint", 'Only of this endpoint; "" is garbage.', "EP", endpoint_ids)
    reason = forms.text_option("--reason", "Only for this reason, or its first word.", "REASON")
    return endpoint(reason(forms.since_option(forms.until_option(command))))


_all_option = click.option("--all", "everything", is_flag=True, help="All that the other options leave.")


@dead_letters.command(name="list")
@_choice
@whole_option("--limit", 1, forms.MOST_LISTED, "How many at most", 50)
@forms.text_option("--before", "Go on behind this cursor of an earlier list.", "CURSOR")
@json_option
@redis_options
def list_(
    limit: int, before: str | None, as_json: bool, config_file: Path | None,
    endpoint: str | None, reason: str | None, since_ms: int | None, until_ms: int | None, **options: Any,
) -> None:  # fmt: skip
    """List dead letters, the newest first.

    \b
    Example: hookfarm dead-letters list --reason exhausted --since 1d
    """
    from hookfarm.cli import deliveries_shown
    from hookfarm.deliveries import dead_letters
    from hookfarm.deliveries.state_index import Position

    after = None if before is None else Position.from_cursor(before)
    where = _filter(endpoint, reason, since_ms, until_ms)
    with connected(settings(config_file, **options)) as client:
        letters, following = dead_letters.find(client, where, after, limit)
    if as_json:
        cursors = (Position(float(letter.at_ms or 0), letter.id).as_cursor() for letter in letters)
        print_json([{"cursor": c, **letter.as_json()} for c, letter in zip(cursors, letters, strict=True)])
        return
    for line in deliveries_shown.dead_letter_lines(letters):
        click.echo(line)
    if following is not None:
        click.echo(f"There are more: --before {following.as_cursor()}", err=True)


@dead_letters.command()
@forms.ids_argument
@_all_option
@_choice
@json_option
@redis_options
def redrive(
    ids: tuple[str, ...], everything: bool, as_json: bool, config_file: Path | None,
    endpoint: str | None, reason: str | None, since_ms: int | None, until_ms: int | None, **options: Any,
) -> None:  # fmt: skip
    """Send dead letters again, under the same ids, on a retry schedule that begins anew; the oldest first.

    \b
    Example: hookfarm dead-letters redrive --all --endpoint ep_… --reason exhausted
    """
    from hookfarm.cli import deliveries_again
    from hookfarm.deliveries.log import DeliveryState

    _check_choice(ids, everything, (endpoint, reason, since_ms, until_ms))
    with connected(settings(config_file, **options)) as client:
        chosen = ids or _ids(client, _filter(endpoint, reason, since_ms, until_ms))
        tally = deliveries_again.send(client, chosen, (DeliveryState.DEAD,))
    deliveries_again.report(tally, as_json)
    sys.exit(1 if ids and tally.refused else 0)


@dead_letters.command()
@forms.ids_argument
@_all_option
@_choice
@forms.yes_option
@json_option
@redis_options
def purge(
    ids: tuple[str, ...], everything: bool, yes: bool, as_json: bool, config_file: Path | None,
    endpoint: str | None, reason: str | None, since_ms: int | None, until_ms: int | None, **options: Any,
) -> None:  # fmt: skip
    """Forget dead letters for good. What was never delivered is then lost.

    \b
    Example: hookfarm dead-letters purge --all --reason endpoint_removed --until 30d
    """
    from hookfarm.cli import bars, deliveries_again
    from hookfarm.deliveries import dead_letters

    _check_choice(ids, everything, (endpoint, reason, since_ms, until_ms))
    with connected(settings(config_file, **options)) as client:
        chosen = ids or _ids(client, _filter(endpoint, reason, since_ms, until_ms))
        deliveries_again.confirm(f"{len(chosen):,} dead letters will be lost for good. Go on?", yes or not chosen)
        if ids:
            missing = [letter for letter in ids if not dead_letters.purge(client, [letter])]
            purged = len(ids) - len(missing)
        else:
            missing = []
            purged = sum(dead_letters.purge(client, batch) for batch in bars.batches(chosen, "purging"))
    _report_purged(purged, missing, as_json)
    sys.exit(1 if missing else 0)


def _report_purged(purged: int, missing: list[str], as_json: bool) -> None:
    if as_json:
        print_json({"purged": purged, "missing": missing})
        return
    click.echo(f"purged {purged:,}")
    for letter in missing:
        click.echo(f"hookfarm: no dead letter {letter!r}", err=True)


def _check_choice(ids: tuple[str, ...], everything: bool, choice: tuple[object, ...]) -> None:
    if bool(ids) == everything or (ids and any(given is not None for given in choice)):
        raise InvalidInput("id", "give ids, or --all with --endpoint, --reason, --since and --until")


def _filter(
    endpoint: str | None, reason: str | None, since_ms: int | None, until_ms: int | None
) -> "DeadLetterFilter":
    from hookfarm.deliveries.filters import LAST_MS, DeadLetterFilter

    return DeadLetterFilter(endpoint, reason, since_ms or 0, LAST_MS if until_ms is None else until_ms)


def _ids(client: "redis.Redis", where: "DeadLetterFilter") -> list[str]:
    from hookfarm.cli import bars
    from hookfarm.deliveries import dead_letters

    with bars.bar("looking"):
        return dead_letters.ids(client, where)
