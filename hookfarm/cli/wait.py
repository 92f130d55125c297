"""`hookfarm wait`: wait for readiness in scripts and orchestrators."""

import re
import sys
import time
from pathlib import Path
from typing import Any

import click

from hookfarm.cli.options import redis_options, redis_url, seconds_option, settings
from hookfarm.status import readiness
from hookfarm.store import keys
from hookfarm.store.clients import command_client


class ServiceName(click.Choice[str]):
    """The name of a service, or `event_ingestor:ID` for one chain."""

    def __init__(self) -> None:
        super().__init__(keys.SERVICES)

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if re.fullmatch(rf"{keys.EVENT_INGESTOR}:[1-9][0-9]{{0,15}}", value):
            return value
        return super().convert(value, param, ctx)


@click.command()
@click.argument("services", nargs=-1, required=True, type=ServiceName(), metavar="SERVICE…")
@seconds_option("--timeout", 0, 86400, "Time-out for each service", default=10.0)
@redis_options
def wait(services: tuple[str, ...], timeout: float, config_file: Path | None, **options: Any) -> None:
    """Wait until each SERVICE signals readiness; exit 1 if one does not.

    event_ingestor is ready when all its chains are; event_ingestor:ID when chain ID is.

    \b
    Example: hookfarm wait message_processor webhook_delivery --timeout 10
    """
    url = redis_url(settings(config_file, **options))
    for service in services:
        click.echo(f"Waiting for {service} to signal readiness...")
        if not _becomes_ready(url, service, timeout):
            click.echo(f"{service} did not signal readiness within {timeout:g}s")
            sys.exit(1)
        click.echo(f"{service} is ready!")


def _becomes_ready(url: str, service: str, timeout: float) -> bool:
    with command_client(url, max(0.1, min(timeout, 2.0))) as client:
        return readiness.wait(client, service, timeout, time.sleep)
