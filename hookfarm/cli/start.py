"""`hookfarm start`: the farm in the foreground."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from hookfarm import logs
from hookfarm.cli.options import redis_options, settings
from hookfarm.config import Config
from hookfarm.errors import InvalidInput
from hookfarm.launcher.plan import run_farm
from hookfarm.store import keys

API = "api"
STARTABLE = (*keys.SERVICES, API)


@click.command()
@click.argument("services", nargs=-1, type=click.Choice(STARTABLE), metavar="[SERVICE…]")
@click.option("--workers", metavar="N", help="Delivery processes. [default: 50]")
@click.option("--concurrency", metavar="N", help="POSTs in flight per delivery process. [default: 16]")
@click.option("--processors", metavar="N", help="Message processors. [default: 1]")
@click.option("--ingestors", metavar="N", help="Max ingestors; they share the chains. [default: CPUs, at least 2]")
@click.option("--chain", "chains", multiple=True, metavar="ID=URL[,URL…]", help="Chain to watch. Repeatable.")
@click.option(
    "--required-chains",
    metavar="ID[,ID…]",
    help="Chains that must be ready. [default: one for start, all for /readyz]",
)
@click.option("--from-block", metavar="N", help="First block of a new chain. [default: its head]")
@click.option("--api", metavar="HOST:PORT", help="Address of the HTTP API. [default: 127.0.0.1:8400]")
@click.option("--log-level", metavar="LEVEL", help="Log level: debug, info, warning or error. [default: info]")
@click.option("--log-format", metavar="FORMAT", help="Log format: text or json. [default: text]")
@click.option("--log-attempts", metavar="WHICH", help="Attempts to log: failed or all. [default: failed]")
@click.option("--otel-endpoint", metavar="URL", help="OpenTelemetry collector for traces. [default: none]")
@redis_options
def start(services: tuple[str, ...], config_file: Path | None, **options: Any) -> None:
    """Run the farm: all services, or the named ones (message_processor, webhook_delivery, event_ingestor, api).

    \b
    Example: hookfarm start --chain 1=wss://node.example/key
    """

    def read() -> Config:
        given = settings(config_file, **options)
        check_services(given, services)
        return given

    given = read()
    logs.configure(given.log_level, given.log_format)
    run_farm(given, services or STARTABLE, read)


def check_services(given: Config, named: Sequence[str]) -> None:
    """Raise InvalidInput if event_ingestor is named but no chain is configured."""
    if keys.EVENT_INGESTOR in named and not given.chains:
        raise InvalidInput("chain", "event_ingestor has no chain to watch; give --chain ID=URL")
