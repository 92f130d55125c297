"""`hookfarm wait`: for scripts and orchestrators, instead of sleeping."""

import sys
import time
from pathlib import Path

import click

from hookfarm.cli.numbers import seconds_option
from hookfarm.cli.options import redis_options, redis_url, settings
from hookfarm.store import keys


@click.command()
@click.argument("services", nargs=-1, required=True, type=click.Choice(keys.SERVICES), metavar="SERVICE…")
@seconds_option("--timeout", 0, 86400, "How long to wait for each", default=10.0)
@redis_options
def wait(
    services: tuple[str, ...],
    timeout: float,
    config_file: Path | None,
    redis_url: str | None,
    state_dir: str | None,
) -> None:
    """Wait until each SERVICE signals readiness; exit 1 if one does not.

    \b
    Example: hookfarm wait message_processor webhook_delivery --timeout 10
    """
    given = settings(config_file, redis_url=redis_url, state_dir=state_dir)
    for service in services:
        click.echo(f"Waiting for {service} to signal readiness...")
        if not _becomes_ready(_url(given), service, timeout):
            click.echo(f"{service} did not signal readiness within {timeout:g}s")
            sys.exit(1)
        click.echo(f"{service} is ready!")


_url = redis_url


def _becomes_ready(url: str, service: str, timeout: float) -> bool:
    from hookfarm.status import readiness
    from hookfarm.store.clients import command_client

    with command_client(url, max(0.1, min(timeout, 2.0))) as client:
        return readiness.wait(client, service, timeout, time.sleep)
