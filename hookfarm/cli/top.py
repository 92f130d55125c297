"""`hookfarm top`: the farm live in the terminal."""

from pathlib import Path
from typing import Any

import click

from hookfarm.cli.numbers import seconds_option
from hookfarm.cli.options import connected, json_option, redis_options, settings


@click.command()
@click.option("--once", is_flag=True, help="Show it once, as it is now, and end.")
@seconds_option("--every", 0.1, 3600, "Between two looks", 1)
@json_option
@redis_options
def top(once: bool, every: float, as_json: bool, config_file: Path | None, **options: Any) -> None:
    """Watch the farm: what flows from chain to webhook, the workers, what waits and for what.

    Reads Redis, like `status`, so it works on any host and over ssh. q or ctrl-C ends it. In a pipe it is a line
    for each look; with --json each is one object, what the API answers as its stats.

    \b
    Examples:
      hookfarm top --redis-url redis://10.0.0.5:6379/0
      hookfarm top --once --json
    """
    with connected(settings(config_file, **options)) as client:
        from hookfarm.cli.top_run import run_json, run_top

        run = run_json if as_json else run_top
        run(client, every, once=once)
