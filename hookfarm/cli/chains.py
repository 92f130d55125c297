"""`hookfarm chains` and its subcommands: head, checkpoint and lag of each chain, and its nodes."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from hookfarm import status
from hookfarm.chain.profiles import ChainProfile, bloom_texts, known_profiles, peculiarities
from hookfarm.cli.options import connected, json_option, redis_options, settings
from hookfarm.cli.output import UNKNOWN, columns, count, plain, print_json, rate
from hookfarm.cli.status_output import NODE_HEADINGS, catch_up, node_row

_NUMBERS = ("head", "checkpoint", "lag_blocks", "safe", "finalized", "events_published")
_HEADINGS = (
    *("chain", "ready", "head", "checkpoint", "lag", "safe", "finalized", "published"),
    *("behind", "requests/block", "reason"),
)

_KNOWN_HEADINGS = ("chain", "name", "block", "bloom proves", "safe", "finalized", "other")


@click.group(invoke_without_command=True)
@json_option
@redis_options
@click.pass_context
def chains(context: click.Context, /, as_json: bool, config_file: Path | None, **options: Any) -> None:
    """Show each chain: head, checkpoint, lag, finality, and its nodes with their state.

    "no tag": the nodes do not report this block. Deliveries that wait for it count confirmations instead; their
    number is in brackets. Below the table: what is proven about the logs of each chain, and what is not.

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
@click.option("--known", is_flag=True, help="List the table of known chains instead.")
@json_option
@redis_options
def list_chains(known: bool, as_json: bool, config_file: Path | None, **options: Any) -> None:
    """List the chains of the farm, as `hookfarm chains` does, or all known chains.

    hookfarm has a table of known chains: what their blooms prove, whether they have safe and finalized blocks, and
    how they differ from others. A dash, or a chain outside the table, is unknown and recognised automatically.

    \b
    Example: hookfarm chains list --known
    """
    if not known:
        _show(as_json, config_file, **options)
    elif as_json:
        print_json([_known_json(profile) for profile in known_profiles().values()])
    else:
        for line in columns([_KNOWN_HEADINGS, *map(_known_row, known_profiles().values())]):
            click.echo(line)


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
    proofs = [_proof(row) for row in rows if row.get("proof")]
    if proofs:
        click.echo()
        click.echo("\n".join(proofs))
    now_ms = int(time.time() * 1000)
    nodes = [node_row(row["chain_id"], node, now_ms) for row in rows for node in row["nodes"]]
    if nodes:
        click.echo()
        for line in columns([NODE_HEADINGS, *nodes]):
            click.echo(line)


def _row(chain: Mapping[str, Any]) -> tuple[str, ...]:
    behind = UNKNOWN if chain["lag_ms"] is None else f"{chain['lag_ms'] / 1000:,.1f} s"
    numbers = (_number(chain, name) for name in _NUMBERS)
    rest = (behind, rate(chain["rpc_requests_per_block"]), plain(chain["reason"] or catch_up(chain)))
    return (str(chain["chain_id"]), "yes" if chain["ready"] else "no", *numbers, *rest)


def _number(chain: Mapping[str, Any], name: str) -> str:
    if name not in chain.get("unsupported_tags", ()):
        return count(chain.get(name))
    confirmations = chain.get("tag_confirmations", {}).get(name)
    return f"no tag ({confirmations:,})" if confirmations else "no tag"


def _proof(chain: Mapping[str, Any]) -> str:
    name = f" ({chain['name']})" if chain.get("name") else ""
    return plain(f"chain {chain['chain_id']}{name}, verify={chain['verify']}: {chain['proof']}")


# The table of known chains


def _known_row(profile: ChainProfile) -> tuple[str, ...]:
    block = UNKNOWN if profile.block_seconds is None else f"{profile.block_seconds:g} s"
    tags = (_tag(profile, tag) for tag in ("safe", "finalized"))
    blooms, other = ("; ".join(texts) or UNKNOWN for texts in (bloom_texts(profile), peculiarities(profile)))
    return (str(profile.chain_id), profile.name, block, blooms, *tags, other)


def _tag(profile: ChainProfile, tag: str) -> str:
    has_block = profile.tags.get(tag)
    if has_block is None:
        return UNKNOWN
    return "tag" if has_block else f"no tag ({profile.tag_blocks[tag]:,})"


def _known_json(profile: ChainProfile) -> dict[str, Any]:
    return {
        "chain_id": profile.chain_id,
        "name": profile.name,
        "explorer": profile.explorer,
        "block_ms": None if profile.block_seconds is None else round(profile.block_seconds * 1000),
        "blooms": [{"from_block": since, "proves": bloom} for since, bloom in profile.blooms],
        "wrong_indices": profile.wrong_indices,
        "receipts": profile.receipts,
        "tags": {tag: profile.tags.get(tag) for tag in profile.tag_blocks},
        "tag_confirmations": dict(profile.tag_blocks),
        "first_block": profile.first_block,
        "null_rounds": profile.null_rounds,
        "system_logs": profile.system_logs or None,
        "sources": list(profile.sources),
    }
