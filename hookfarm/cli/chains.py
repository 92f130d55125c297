"""`hookfarm chains` and its subcommands: head, checkpoint and lag of each chain, and its nodes."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from hookfarm import status
from hookfarm.cli.options import connected, json_option, redis_options, settings
from hookfarm.cli.output import UNKNOWN, columns, count, plain, print_json, rate
from hookfarm.cli.status_output import NODE_HEADINGS, catch_up, node_row

_NUMBERS = ("head", "checkpoint", "lag_blocks", "safe", "finalized", "events_published")
_HEADINGS = (
    *("chain", "ready", "head", "checkpoint", "lag", "safe", "finalized", "published"),
    *("behind", "requests/block", "reason"),
)


@click.group(invoke_without_command=True)
@json_option
@redis_options
@click.pass_context
def chains(context: click.Context, /, as_json: bool, config_file: Path | None, **options: Any) -> None:
    """Show each chain: head, checkpoint, lag, finality, and its nodes with their state.

    "no tag": the nodes do not report this block. Deliveries that wait for it count confirmations instead: 32 for
    safe, 64 for finalized.

    Configured chains (HOOKFARM_CHAINS, --config) are listed even before their ingestor reports.

    \b
    Example: hookfarm chains
    """
    if context.invoked_subcommand is None:
        _show(as_json, config_file, **options)
        return
    given = [name for name, value in context.params.items() if value]
    if given:
        raise click.UsageError(f"options belong after the subcommand: chains {context.invoked_subcommand} …")


@chains.command("list")
@json_option
@redis_options
def list_chains(as_json: bool, config_file: Path | None, **options: Any) -> None:
    """List the chains, as `hookfarm chains` does.

    \b
    Example: hookfarm chains list --json
    """
    _show(as_json, config_file, **options)


def _show(as_json: bool, config_file: Path | None, **options: Any) -> None:
    given = settings(config_file, **options)
    with connected(given) as client:
        configured = (chain.chain_id for chain in given.chains)
        rows = status.with_configured(status.take_snapshot(client)["chains"], configured)
    if as_json:
        print_json(rows)
        return
    for line in columns([_HEADINGS, *map(_row, rows)]):
        click.echo(line)
    now_ms = int(time.time() * 1000)
    nodes = [node_row(row["chain_id"], node, now_ms) for row in rows for node in row["nodes"]]
    if nodes:
        click.echo()
        for line in columns([NODE_HEADINGS, *nodes]):
            click.echo(line)


def _row(chain: Mapping[str, Any]) -> tuple[str, ...]:
    behind = UNKNOWN if chain["lag_ms"] is None else f"{chain['lag_ms'] / 1000:,.1f} s"
    unsupported = chain.get("unsupported_tags", ())
    numbers = ("no tag" if name in unsupported else count(chain.get(name)) for name in _NUMBERS)
    rest = (behind, rate(chain["rpc_requests_per_block"]), plain(chain["reason"] or catch_up(chain)))
    return (str(chain["chain_id"]), "yes" if chain["ready"] else "no", *numbers, *rest)
