"""`hookfarm chains`: where each chain stands."""

from pathlib import Path
from typing import Any

import click

from hookfarm.cli.options import connected, json_option, print_json, redis_options, settings

_NUMBERS = ("head", "checkpoint", "lag_blocks", "safe", "finalized", "events_published")
_HEADINGS = (
    *("chain", "ready", "head", "checkpoint", "lag", "safe", "finalized", "published"),
    *("behind", "requests/block", "why"),
)


@click.command()
@json_option
@redis_options
def chains(as_json: bool, config_file: Path | None, **options: Any) -> None:
    """Show each chain: its head, how far it has been published and how far that lags behind, and what is final.

    Those that the settings name (HOOKFARM_CHAINS, --config) are among them, though nothing is heard of them yet.

    \b
    Example: hookfarm chains
    """
    given = settings(config_file, **options)
    with connected(given) as client:
        from hookfarm import picture

        configured = (chain.chain_id for chain in given.chains)
        rows = picture.with_unheard(picture.take(client)["chains"], configured)
    if as_json:
        print_json(rows)
        return
    from hookfarm.cli.tables import columns

    for line in columns([_HEADINGS, *map(_line, rows)]):
        click.echo(line)


def _line(row: dict[str, Any]) -> tuple[str, ...]:
    from hookfarm.cli.tables import plain
    from hookfarm.cli.view_numbers import UNKNOWN, count, rate

    behind = UNKNOWN if row["lag_seconds"] is None else f"{row['lag_seconds']:,.1f} s"
    numbers = (count(row.get(name)) for name in _NUMBERS)
    told = (behind, rate(row["rpc_requests_per_block"]), plain(row["why"] or _catch_up(row)))
    return (str(row["chain_id"]), "yes" if row["ready"] else "no", *numbers, *told)


def _catch_up(row: dict[str, Any]) -> str:
    from hookfarm.cli.view_numbers import elapsed, rate

    found = row["catch_up"]
    if not found:
        return ""
    left = found.get("seconds_left")
    speed = f"catching up, {rate(found['blocks_per_second'])} blocks/s"
    return speed if left is None else f"{speed}, {elapsed(left)} left"
