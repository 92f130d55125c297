"""`hookfarm devchain`: a local chain, as a command and as a child of the demo's farm."""

import asyncio
import signal
from dataclasses import fields
from typing import Any

import click
from click.core import ParameterSource

from hookfarm.cli.options import seconds_option, whole_option
from hookfarm.devchain.chain import (
    MAX_LOGS_PER_BLOCK,
    MAX_TRANSFERS_PER_BLOCK,
    DevchainOptions,
    with_profile,
)
from hookfarm.devchain.profiles import PROFILES
from hookfarm.errors import InvalidInput
from hookfarm.farm.async_child import heartbeat, stop_event
from hookfarm.farm.child import Child

HEARTBEAT_SECONDS = 0.5
HEARTBEAT_WITHIN_SECONDS = 5.0
"""A block of 10,000 logs takes up to two seconds to make."""

_DEFAULTS: dict[str, Any] = {field.name: field.default for field in fields(DevchainOptions)}

_TRANSFERS = "Native transfers per block, some of which fail"


def _known_profile(_context: click.Context, _parameter: click.Parameter, like: str) -> str:
    if like and like not in PROFILES:
        raise InvalidInput("--like", f"{like!r} is unknown; allowed are {', '.join(PROFILES)}")
    return like


@click.command()
@click.option(
    "--like",
    callback=_known_profile,
    default="",
    metavar="CHAIN",
    help=f"Behave like the nodes of a real chain, with its chain id: {', '.join(PROFILES)}. [default: none]",
)
@whole_option("--port", 0, 65535, "Port; 0 = any free one", _DEFAULTS["port"])
@click.option(
    "--host",
    default=_DEFAULTS["host"],
    metavar="ADDRESS",
    help=f"Address to listen on. [default: {_DEFAULTS['host']}]",
)
@whole_option("--chain-id", 1, 2**53 - 1, "Chain id", _DEFAULTS["chain_id"])
@seconds_option("--block-time", 0, 3600, "Time between blocks; 0 = only on devchain_mine", _DEFAULTS["block_time"])
@whole_option("--logs-per-block", 0, MAX_LOGS_PER_BLOCK, "Token transfers per block", _DEFAULTS["logs_per_block"])
@whole_option("--transfers-per-block", 0, MAX_TRANSFERS_PER_BLOCK, _TRANSFERS, _DEFAULTS["transfers_per_block"])
@whole_option("--reorg-every", 0, 1_000_000, "Blocks between reorgs; 0 = no reorgs", _DEFAULTS["reorg_every"])
@whole_option("--reorg-depth", 1, 1_000, "Blocks that a reorg replaces", _DEFAULTS["reorg_depth"])
@whole_option(
    "--null-round-every",
    0,
    1_000_000,
    "One block number in so many has no block; 0 = none",
    _DEFAULTS["null_round_every"],
)
@whole_option("--seed", 0, 2**63, "Seed of the genesis hash and all transfers", _DEFAULTS["seed"])
@click.pass_context
def devchain(context: click.Context, /, **values: Any) -> None:
    """Run a local chain with ERC-20 and native transfers, and reorgs and faults on demand, until ctrl-C.

    It serves JSON-RPC over HTTP and WebSocket on one port. Methods such as devchain_mine, devchain_reorg and
    devchain_setFault trigger blocks, reorgs and faults.

    \b
    Example: hookfarm devchain --block-time 2 --reorg-every 20 --reorg-depth 3 --like filecoin
    """
    like = values.pop("like")
    given = {name: value for name, value in values.items() if _is_given(context, name)}
    asyncio.run(_run(with_profile(like, given)))


def _is_given(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) is not ParameterSource.DEFAULT


async def _run(options: DevchainOptions) -> None:
    from hookfarm.devchain.server import serve  # Imported late: see run_child.

    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await serve(options, on_ready=lambda url: click.echo(_introduction(options, url)), stop=stop)


def _introduction(options: DevchainOptions, http_url: str) -> str:
    ws_url = http_url.replace("http", "ws", 1)
    if options.block_time:
        pace = f"a block every {options.block_time:g} s with {options.logs_per_block:,} transfers"
    else:
        pace = f"blocks of {options.logs_per_block:,} transfers on devchain_mine only"
    if options.transfers_per_block:
        pace += f" and {options.transfers_per_block:,} native transfers"
    if options.reorg_every:
        pace += f", a reorg of {options.reorg_depth} blocks every {options.reorg_every} blocks"
    like = f" (like {options.like})" if options.like else ""
    return (
        f"devchain {options.chain_id}{like} is ready: {pace}\n"
        f"  ws    {ws_url}\n"
        f"  http  {http_url}\n"
        f"Watch it:  hookfarm start --chain {options.chain_id}={ws_url}\n"
        "Ctrl-C ends it."
    )


def run_child(child: Child, options: DevchainOptions) -> None:
    """Run a devchain as a child of a farm. It starts paused, so that the parent can count every log."""
    asyncio.run(_run_child(child, options))


async def _run_child(child: Child, options: DevchainOptions) -> None:
    # Imported late: the demo's forked processes must not carry aiohttp and the devchain.
    from hookfarm.devchain.node import DevNode, mine_until
    from hookfarm.devchain.server import listening

    node = DevNode(options)
    node.paused = True
    with stop_event(child) as stop:
        async with listening(node), heartbeat(child, HEARTBEAT_SECONDS, HEARTBEAT_WITHIN_SECONDS):
            child.mark_up()
            await mine_until(node, stop)
