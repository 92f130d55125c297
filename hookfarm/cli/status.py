"""`hookfarm status`: what runs, what is ready, what waits."""

from pathlib import Path
from typing import Any

import click

from hookfarm import keys
from hookfarm.cli.options import connected, json_option, print_json, redis_options, redis_url, settings
from hookfarm.redaction import redis_address


@click.command()
@json_option
@redis_options
def status(as_json: bool, config_file: Path | None, **options: Any) -> None:
    """Show services, readiness, workers, queue depths, lag per chain and the Redis address."""
    given = settings(config_file, **options)
    with connected(given) as client:
        from hookfarm.cli.picture import picture

        found = picture(client, redis_address(redis_url(given)))
    if as_json:
        print_json(found)
    else:
        _print(found)


def _print(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    services = Table("service", "ready", "workers", "host", "pid", "why", box=None, header_style="bold")
    for name in keys.SERVICES:
        told = found["services"][name]
        ready = "[green]yes[/]" if told["ready"] else "[red]no[/]"
        workers = f"{told.get('workers_up', 0)}/{told.get('workers', 0)}"
        services.add_row(
            name, ready, workers, str(told.get("host", "")), str(told.get("pid", "")), told.get("why", "")
        )
    console.print(services)
    for name in keys.SERVICES:
        for waiting in found["services"][name].get("backing_off", ()):
            console.print("{process} is tried again in {again_in_s} s ({tries} tries): {reason}".format(**waiting))
    queue = found["queue"]
    console.print("\ndelivery_queue  " + "  ".join(f"{name} {depth:,}" for name, depth in queue.items()))
    if found["in_lanes"]:
        console.print(f"lanes of backfills  waiting {found['in_lanes']:,}")
    for each in found["backfills"]:
        console.print(_backfill_line(each))
    for chain in found["chains"]:
        place = f"head {chain['head']:,}  checkpoint {chain['checkpoint']:,}  lag {chain['lag_blocks']:,} blocks"
        console.print(f"chain {chain['chain_id']}  {place}  stream {chain['stream']:,}")
    console.print(f"redis  {found['redis']}")


def _backfill_line(backfill: dict[str, Any]) -> str:
    at = "before its first block" if backfill["at_block"] is None else f"at block {backfill['at_block']:,}"
    span = f"chain {backfill['chain_id']}  blocks {backfill['from_block']:,} to {backfill['to_block']:,}"
    state = "running" if backfill["running"] else "stopped"
    return f"backfill {backfill['endpoint']}  {span}  {at}  added {backfill['added']:,}  {state}"
