"""`hookfarm chains accept`: accept one block whose logs are not proven."""

import getpass
import socket
from pathlib import Path
from typing import Any

import click

from hookfarm.cli.options import Callback, connected, redis_options, settings, yes_option
from hookfarm.cli.output import confirm, plain, pluralize
from hookfarm.errors import InvalidInput
from hookfarm.event_stream import accept_block, doubtful_block
from hookfarm.records.fields import MAX_UINT64


def _whole(low: int, noun: str) -> Callback:
    """Return a callback that checks an argument: a whole number from `low`."""

    def check(_context: click.Context, parameter: click.Parameter, value: str) -> int:
        number = int(value) if value.isascii() and value.isdigit() and len(value) <= 20 else -1
        if not low <= number <= MAX_UINT64:
            name = str(parameter.metavar)
            raise InvalidInput(name, f"{value!r} is not {noun}; allowed is a whole number from {low}")
        return number

    return check


@click.command()
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
