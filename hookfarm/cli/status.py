"""`hookfarm status`: what runs, what is ready, what waits."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hookfarm.cli.options import connected, json_option, print_json, redis_options, redis_url, settings
from hookfarm.security.redaction import redis_address
from hookfarm.store import keys

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table  # Costs 0.05 s, which --help need not wait for.


@click.command()
@json_option
@redis_options
def status(as_json: bool, config_file: Path | None, **options: Any) -> None:
    """Show services, readiness, workers, queue depths, backfills, lag, nodes per chain, and the Redis address.

    \b
    Example: hookfarm status --json
    """
    given = settings(config_file, **options)
    with connected(given) as client:
        from hookfarm import status
        from hookfarm.backfill import state

        found = {
            "redis": redis_address(redis_url(given)),
            **status.take_snapshot(client),
            "in_lanes": state.in_lanes(client),
            "backfills": [backfill.public() for backfill in state.unfinished(client)],
        }
    if as_json:
        print_json(found)
    else:
        _print(found)


def _print(found: dict[str, Any]) -> None:
    from rich.console import Console

    from hookfarm.cli.backfill_lines import status_line

    console = Console(highlight=False)
    console.print(_services(found["services"]))
    for told in found["services"].values():
        for waiting in told.get("backing_off", ()):
            console.print("{process} is tried again in {again_in_s} s ({tries} tries): {reason}".format(**waiting))
    in_queue = {place: number for place, number in found["queue"].items() if place != "in_lanes"}
    console.print("\ndelivery_queue  " + _counts(in_queue))
    if found["in_lanes"]:
        console.print(f"lanes of backfills  waiting {found['in_lanes']:,}")
    for backfill in found["backfills"]:
        console.print(status_line(backfill), markup=False, soft_wrap=True)
    endpoints = found["endpoints"]
    disabled = endpoints["total"] - endpoints["enabled"]
    circuits = {"enabled": endpoints["enabled"], "disabled": disabled, "circuit open": endpoints["circuit_open"]}
    console.print("endpoints  " + _counts(circuits))
    for chain in found["chains"]:
        _print_chain(console, chain)
    for stream in found["streams"]:
        waiting = _counts({"waiting": stream["length"], "pending": stream["pending"]})
        console.print(f"events:{stream['chain_id']}  {waiting}")
    console.print(f"redis  {found['redis']}")


def _print_chain(console: "Console", chain: dict[str, Any]) -> None:
    from hookfarm.cli.chain_lines import active_node, catch_up, troubles
    from hookfarm.cli.view_numbers import rate

    place = _counts({"head": chain["head"], "checkpoint": chain["checkpoint"], "lag": chain["lag_blocks"]})
    cost = f"requests/block {rate(chain.get('rpc_requests_per_block'))}  node {active_node(chain)}"
    told = (f"chain {chain['chain_id']}  {place} blocks", cost, catch_up(chain))
    console.print("  ".join(filter(None, told)), markup=False, soft_wrap=True)
    for trouble in troubles(chain, int(time.time() * 1000)):
        console.print(f"  {trouble}", markup=False, soft_wrap=True)


def _services(services: dict[str, dict[str, Any]]) -> "Table":
    from rich.table import Table

    table = Table("service", "ready", "workers", "host", "pid", "why", box=None, header_style="bold")
    for name in keys.SERVICES:
        told = services[name]
        ready = "[green]yes[/]" if told["ready"] else "[red]no[/]"
        workers = f"{told.get('workers_up', 0)}/{told.get('workers', 0)}"
        why = told.get("reason") or _silence(told)
        table.add_row(name, ready, workers, str(told.get("host", "")), str(told.get("pid", "")), why)
    return table


def _silence(told: dict[str, Any]) -> str:
    from hookfarm.status import STALE_MS

    age_ms = told["status_age_ms"] or 0
    return f"no status for {age_ms / 1000:.0f} s" if age_ms > STALE_MS else ""


def _counts(numbers: dict[str, int | None]) -> str:
    from hookfarm.cli.view_numbers import count

    return "  ".join(f"{name} {count(number)}" for name, number in numbers.items())
