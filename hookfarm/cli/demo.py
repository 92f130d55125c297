"""`hookfarm demo`: everything on one machine with nothing configured."""

import sys
from typing import Any

import click

from hookfarm.cli.numbers import seconds_option, whole_option
from hookfarm.config import MAX_WORKERS
from hookfarm.devchain.options import MAX_LOGS_PER_BLOCK


@click.command()
@seconds_option("--seconds", 0.1, 10**9, "End by itself after so long, instead of at ctrl-C")
@seconds_option("--block-time", 0.05, 3600, "Between blocks", 1)
@whole_option("--logs-per-block", 1, MAX_LOGS_PER_BLOCK, "Transfers in each block", 50)
@whole_option("--workers", 1, MAX_WORKERS, "Delivery processes", 50)
def demo(**given: Any) -> None:
    """Run a chain, a Redis, the farm and a receiver that verifies, and watch them, until ctrl-C.

    All of it is local and temporary. At the end, every log of the chain is compared with every webhook that
    arrived: exit 0 if each was delivered and verified, exit 1 if not. A second ctrl-C does not wait for that.

    \b
    Example: hookfarm demo --seconds 20
    """
    from hookfarm.cli.demo_run import DemoOptions, run_demo

    sys.exit(run_demo(DemoOptions(**given)))
