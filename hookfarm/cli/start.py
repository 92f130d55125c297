"""`hookfarm start`: the farm in the foreground."""

from pathlib import Path
from typing import Any

import click

from hookfarm import keys, logs
from hookfarm.cli.options import redis_options, settings
from hookfarm.errors import InvalidInput

API = "api"
STARTABLE = (*keys.SERVICES, API)


@click.command()
@click.argument("services", nargs=-1, type=click.Choice(STARTABLE), metavar="[SERVICE…]")
@click.option("--workers", metavar="N", help="Delivery processes [50].")
@click.option("--processors", metavar="N", help="Message processors [1].")
@click.option("--chain", "chains", multiple=True, metavar="ID=URL[,URL…]", help="A chain to watch (repeatable).")
@click.option("--from-block", metavar="N", help="First block of a chain never watched before [its head].")
@click.option("--api", metavar="HOST:PORT", help="Where the HTTP API listens [127.0.0.1:8400].")
@click.option("--log-level", metavar="LEVEL", help="debug, info, warning or error [info].")
@click.option("--log-format", metavar="FORM", help="text or json [text].")
@redis_options
def start(services: tuple[str, ...], config_file: Path | None, **options: Any) -> None:
    """Run the farm: all services, or those named (message_processor, webhook_delivery, event_ingestor, api).

    \b
    Example: hookfarm start --chain 1=wss://node.example/key
    """
    given = settings(config_file, **options)
    logs.configure(given.log_level, given.log_format)
    chosen = services or STARTABLE
    if keys.EVENT_INGESTOR in services and not given.chains:
        raise InvalidInput("chain", "event_ingestor has no chain to watch; give --chain ID=URL")

    from hookfarm.cli.farm import run_farm

    run_farm(given, chosen)
