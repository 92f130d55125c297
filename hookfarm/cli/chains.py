"""`hookfarm chains`: where each chain stands."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from hookfarm.cli.options import connected, json_option, print_json, redis_options, settings

_NUMBERS = ("head", "checkpoint", "lag_blocks", "safe", "finalized", "events_published")
_HEADINGS = (
    *("chain", "ready", "head", "checkpoint", "lag", "safe", "finalized", "published"),
    *("behind", "requests/block", "reason"),
)


@click.command()
@json_option
@redis_options
def chains(as_json: bool, config_file: Path | None, **options: Any) -> None:
    """Show each chain: its head, how far it has been published and how far that lags behind, what is final, and
    how its nodes do: which one is active, which are in cooldown, until when and why.

    Those that the settings name (HOOKFARM_CHAINS, --config) are among them, though nothing is heard of them yet.

    \b
    Example: hookfarm chains
    """
    given = settings(config_file, **options)
    with connected(given) as client:
        from hookfarm import status

        configured = (chain.chain_id for chain in given.chains)
        rows = status.with_configured(status.take_snapshot(client)["chains"], configured)
    if as_json:
        print_json(rows)
        return
    from hookfarm.cli.chain_lines import NODE_HEADINGS, node_row
    from hookfarm.cli.tables import columns

    for line in columns([_HEADINGS, *map(_line, rows)]):
        click.echo(line)
    now_ms = int(time.time() * 1000)
    nodes = [node_row(row["chain_id"], node, now_ms) for row in rows for node in row["nodes"]]
    if nodes:
        click.echo()
        for line in columns([NODE_HEADINGS, *nodes]):
            click.echo(line)


def _line(row: Mapping[str, Any]) -> tuple[str, ...]:
    from hookfarm.cli.chain_lines import catch_up
    from hookfarm.cli.tables import plain
    from hookfarm.cli.view_numbers import UNKNOWN, count, rate

    behind = UNKNOWN if row["lag_ms"] is None else f"{row['lag_ms'] / 1000:,.1f} s"
    numbers = (count(row.get(name)) for name in _NUMBERS)
    told = (behind, rate(row["rpc_requests_per_block"]), plain(row["reason"] or catch_up(row)))
    return (str(row["chain_id"]), "yes" if row["ready"] else "no", *numbers, *told)
