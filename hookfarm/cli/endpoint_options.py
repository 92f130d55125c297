"""The options that say what an endpoint is and what it subscribes to."""

from typing import Any

import click

from hookfarm.cli.completion import among, endpoint_ids
from hookfarm.cli.deliveries_forms import F, utf8
from hookfarm.records import operational


def id_argument(command: F) -> F:
    return click.argument("endpoint_id", metavar="ID", callback=utf8, shell_complete=endpoint_ids)(command)


def subscription_options(command: Any) -> Any:
    options = [
        click.option("--chain", "chains", type=int, multiple=True, metavar="ID", help="Chain id (repeatable)."),
        click.option("--kind", metavar="KIND", help="log, or transfer: of the chain's own currency [log]."),
        click.option("--from", "senders", multiple=True, metavar="0x…", help="Of a transfer (repeatable) [any]."),
        click.option("--to", "recipients", multiple=True, metavar="0x…", help="Of a transfer (repeatable) [any]."),
        click.option("--address", "addresses", multiple=True, metavar="0x…", help="Contract (repeatable) [any]."),
        click.option("--event", metavar="SIGNATURE", help='E.g. "Transfer(address indexed from, …)" [any].'),
        click.option("--topics", metavar="JSON", help="Positional topics as in eth_getLogs, instead of --event."),
        click.option("--where", metavar="CONDITION", help='E.g. "value >= 1_000_000 and to == 0x…" [all].'),
        click.option("--confirmations", metavar="N", help="Blocks to wait, or safe or finalized [0]."),
        click.option(
            *("--notify", "notify"),
            multiple=True,
            metavar="WORD",
            help="What is sent: emitted, removed, finalized "
            "(repeatable, or separated by commas) [emitted,removed].",
        ),
        click.option(
            *("--operational", "operational"),
            multiple=True,
            metavar="EVENT",
            shell_complete=among(*operational.EVENTS),
            help=f"Of hookfarm itself: {', '.join(operational.EVENTS)} (repeatable).",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def endpoint_options(command: Any) -> Any:
    options = [
        click.option("--description", metavar="TEXT", help="For people."),
        click.option("--header", "headers", multiple=True, metavar="NAME:VALUE", help="Sent along (repeatable)."),
        click.option("--timeout", "timeout_seconds", type=float, metavar="SECONDS", help="Per attempt [15]."),
        click.option("--max-in-flight", metavar="N|none", help="At most so many attempts at once [none]."),
        click.option("--rate-limit", "rate_limit_per_second", metavar="R|none", help="Per second at most [none]."),
        click.option("--ordered/--no-ordered", default=None, help="One at a time, in the order of events [no]."),
    ]
    for option in reversed(options):
        command = option(command)
    return command
