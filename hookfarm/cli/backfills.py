"""`hookfarm backfills`: the history that endpoints are being sent, and how far that is."""

from pathlib import Path
from typing import Any

import click

from hookfarm.cli.completion import among, endpoint_ids
from hookfarm.cli.deliveries_forms import text_option
from hookfarm.cli.numbers import whole_option
from hookfarm.cli.options import connected, json_option, print_json, redis_options, settings
from hookfarm.errors import InvalidInput

MOST_LISTED = 1000
_STATES = ("running", "stopped", "done")


def _state(_context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and value not in _STATES:
        raise InvalidInput(parameter.opts[0], f"{value!r} is none of {', '.join(_STATES)}")
    return value


@click.command()
@text_option("--endpoint", "Only those of this endpoint.", "EP", endpoint_ids)
@click.option(
    "--state", metavar="STATE", callback=_state, shell_complete=among(*_STATES),
    help=f"Only those that are {', '.join(_STATES)}.",
)  # fmt: skip
@whole_option("--limit", 1, MOST_LISTED, "How many at most", 50)
@json_option
@redis_options
def backfills(
    endpoint: str | None, state: str | None, limit: int, as_json: bool, config_file: Path | None, **options: Any
) -> None:
    """List backfills: how far each is, how fast it goes, and what waits in its endpoint's lane.

    Those that moved last come first; they are remembered for 30 days. One that gives no sign of life for 10 s is
    stopped: `hookfarm backfill` with the same options goes on with it.

    \b
    Example: hookfarm backfills --state running
    """
    with connected(settings(config_file, **options)) as client:
        from hookfarm.backfill.state import Wanted, page

        found, following = page(client, Wanted(endpoint, state), None, limit)
    rows = [each.public() for each in found]
    if as_json:
        print_json(rows)
        return
    from hookfarm.cli.backfill_lines import HEADINGS, row
    from hookfarm.cli.tables import columns

    for line in columns([HEADINGS, *map(row, rows)]):
        click.echo(line)
    if following is not None:
        click.echo(f"there are more than {limit}; give --limit", err=True)
