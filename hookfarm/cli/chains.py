"""`hookfarm chains`: state of each chain and of its nodes, known chains, accepted blocks, check of a node."""

import asyncio
import getpass
import importlib
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from hookfarm import status
from hookfarm.chain.profiles import ChainProfile, bloom_texts, known_profiles, peculiarities
from hookfarm.cli.options import (
    Callback,
    connected,
    json_option,
    redis_options,
    settings,
    whole_option,
    yes_option,
)
from hookfarm.cli.output import UNKNOWN, columns, confirm, count, plain, pluralize, print_json, rate
from hookfarm.cli.status_output import (
    COST_HEADINGS,
    NODE_HEADINGS,
    accepted_blocks,
    catch_up,
    cost_row,
    doubts,
    node_row,
)
from hookfarm.config.chains import node_url
from hookfarm.errors import InvalidInput
from hookfarm.event_stream import accept_block, doubtful_block
from hookfarm.records import MAX_UINT64
from hookfarm.security import redaction

if TYPE_CHECKING:
    from hookfarm.chain.node_sample import NodeReport

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
    """Show each chain: head, checkpoint, lag, finality, and its nodes with their state and cost.

    "no tag": the nodes do not report this block. Deliveries that wait for it count confirmations instead; their
    number is in brackets. Below the table: what is proven about the logs of each chain, and what is not.

    The cost is an average of the last 64 blocks, and its projection to a day. Units need units_per_call.

    Configured chains (HOOKFARM_CHAINS, --config) are listed even before their ingestor reports.

    \b
    Example: hookfarm chains
    """
    if context.invoked_subcommand is None:
        _show(as_json, config_file, **options)
    elif as_json or config_file or any(options.values()):
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
        click.echo()
        for line in columns(
            [COST_HEADINGS, *(cost_row(row["chain_id"], each) for row in rows for each in row["nodes"])]
        ):
            click.echo(line)
    unproven = [line for row in rows for line in (*doubts(row), *accepted_blocks(row))]
    if unproven:
        click.echo()
        for line in unproven:
            click.echo(line)


def _row(chain: Mapping[str, Any]) -> tuple[str, ...]:
    behind = UNKNOWN if chain["lag_ms"] is None else f"{chain['lag_ms'] / 1000:,.1f} s"
    numbers = (_number(chain, name) for name in _NUMBERS)
    rest = (behind, rate(chain["rpc_requests_per_block"]), plain(chain["reason"] or catch_up(chain)))
    return (str(chain["chain_id"]), "yes" if chain["ready"] else "no", *numbers, *rest)


def _whole(low: int, noun: str) -> Callback:
    """Return a callback that checks an argument: a whole number from `low`."""

    def check(_context: click.Context, parameter: click.Parameter, value: str) -> int:
        number = int(value) if value.isascii() and value.isdigit() and len(value) <= 20 else -1
        if not low <= number <= MAX_UINT64:
            name = str(parameter.metavar)
            raise InvalidInput(name, f"{value!r} is not {noun}; allowed is a whole number from {low}")
        return number

    return check


@chains.command()
@click.argument("chain_id", metavar="CHAIN", callback=_whole(1, "a chain id"))
@click.argument("number", metavar="BLOCK", callback=_whole(0, "a block number"))
@yes_option
@redis_options
def accept(chain_id: int, number: int, yes: bool, config_file: Path | None, **options: Any) -> None:
    """Accept one block whose logs are not proven, and publish it.

    The chain waits at a block for which no node gives logs that fit its header. `chains` shows this block and
    the reason. Once accepted, exactly this block (number and hash) is published at the next try, with the logs
    that the node gives: some may be missing or wrong. The acceptance is stored with its time and user, and sent
    to endpoints that subscribe to hookfarm.chain.block_accepted.

    \b
    Example: hookfarm chains accept 56 45123456
    """
    with connected(settings(config_file, **options)) as client:
        block = doubtful_block(client, chain_id, number)
        click.echo(f"chain {chain_id}, block {number} {block.block_hash}", err=True)
        click.echo(f"  doubtful: {plain(block.reason)}", err=True)
        given = pluralize(block.logs or 0, "log")
        click.echo(f"  the node gives {given}, without a proof: some may be missing or wrong", err=True)
        confirm(f"Accept this block and publish it with {given}?", yes)
        accept_block(client, chain_id, block, accepted_by=f"{_user()}@{socket.gethostname()}")
    click.echo(f"accepted; block {number} is published at the next try")


def _user() -> str:
    """Return the name of the user, or the number where it has none, as in a container."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def _node_url(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    """Return the URL of a node, and register its secrets. Raises InvalidInput."""
    redaction.register_secrets(redaction.secrets_of_url(value))
    try:
        return node_url(value)
    except ValueError as error:
        raise InvalidInput("URL", str(error)) from error


@chains.command()
@click.argument("url", metavar="URL", callback=_node_url)
@whole_option("--blocks", 2, 500, "Newest blocks to read", 16)
@json_option
def check(url: str, blocks: int, as_json: bool) -> None:
    """Try a node: what it serves, what that means for hookfarm, and the settings that fit.

    It reads the newest blocks as hookfarm would, with their logs and receipts, and tries history, ranges, batches,
    tags and announced heads, with a bounded number of requests. It needs no Redis and no farm. The exit code is
    1 if hookfarm cannot work with the node.

    \b
    Example: hookfarm chains check https://ethereum.example/key
    """
    # Imported late: it imports web3.
    check_node = importlib.import_module("hookfarm.chain.node_check").check_node
    console = Console(stderr=True)
    with console.status("connecting") as shown:
        report: NodeReport = asyncio.run(check_node(url, blocks, shown.update if console.is_terminal else _silent))
    if as_json:
        print_json(_report_json(url, report))
    else:
        _print_report(url, report)
    if not report.fits:
        sys.exit(1)


def _silent(_text: str) -> None:
    """Show no progress."""


def _report_json(url: str, report: "NodeReport") -> dict[str, Any]:
    return {
        "node": redaction.origin(url),
        "chain_id": report.chain_id,
        "fits": report.fits,
        "requests": report.requests,
        "findings": [finding._asdict() for finding in report.findings],
        "settings": {} if report.verify is None else {"verify": report.verify},
    }


def _print_report(url: str, report: "NodeReport") -> None:
    for line in columns(
        [(each.level, each.name, plain(f"{each.found}: {each.meaning}")) for each in report.findings]
    ):
        click.echo(line)
    click.echo()
    if not report.fits or report.chain_id is None:
        click.echo("hookfarm cannot work with this node")
        return
    shown = _masked(url)
    table, option = f'{{ urls = "{shown}"', f"{report.chain_id}={shown}"
    if report.verify is not None:
        table, option = f'{table}, verify = "{report.verify}"', f"{option};verify={report.verify}"
    click.echo("hookfarm works with this node. In hookfarm.toml:")
    click.echo(f"\n  [chains]\n  {report.chain_id} = {table} }}\n\nor as an option:\n\n  --chain '{option}'")
    if shown != url:
        click.echo("\nwith the whole URL in place of the one above.")


def _masked(url: str) -> str:
    """Return a URL with an ellipsis in place of what may be secret."""
    origin = redaction.origin(url)
    return url if url in (origin, f"{origin}/") else f"{origin}/…"


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
