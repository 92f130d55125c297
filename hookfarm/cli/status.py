"""`hookfarm status`: services, readiness, queue depths and chains."""

import time
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from hookfarm import status as farm_status
from hookfarm.backfill import state as backfill_state
from hookfarm.cli.options import connected, json_option, redis_options, redis_url, settings
from hookfarm.cli.output import count, print_json, rate
from hookfarm.cli.status_output import active_node, backfill_line, catch_up, doubts, node_problems
from hookfarm.security.redaction import redis_address
from hookfarm.store import keys


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
        found = {
            "redis": redis_address(redis_url(given)),
            **farm_status.take_snapshot(client),
            "backfills": [backfill.public() for backfill in backfill_state.unfinished(client)],
        }
    if as_json:
        print_json(found)
    else:
        _print(found)


def _print(found: dict[str, Any]) -> None:
    console = Console(highlight=False)
    console.print(_services(found["services"]))
    for service in found["services"].values():
        for worker in service.get("backoff", ()):
            retry = f"forked again in {worker['retry_in_ms'] / 1000:.1f} s ({worker['tries']} tries)"
            console.print(f"{worker['process']} is {retry}: {worker['reason']}")
    in_queue = {state: number for state, number in found["queue"].items() if state != "backfill"}
    console.print("\ndelivery_queue  " + _counts(in_queue))
    if found["queue"]["backfill"]:
        console.print(f"backfill queues  waiting {found['queue']['backfill']:,}")
    for backfill in found["backfills"]:
        console.print(backfill_line(backfill), markup=False, soft_wrap=True)
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


def _print_chain(console: Console, chain: dict[str, Any]) -> None:
    progress = _counts({"head": chain["head"], "checkpoint": chain["checkpoint"], "lag": chain["lag_blocks"]})
    cost = f"requests/block {rate(chain.get('rpc_requests_per_block'))}  node {active_node(chain)}"
    parts = (f"chain {chain['chain_id']}  {progress} blocks", cost, catch_up(chain))
    console.print("  ".join(filter(None, parts)), markup=False, soft_wrap=True)
    if not chain["ready"]:
        console.print(f"  not ready: {chain['reason']}", markup=False, soft_wrap=True)
    for problem in (*doubts(chain), *node_problems(chain, int(time.time() * 1000))):
        console.print(f"  {problem}", markup=False, soft_wrap=True)


def _services(services: dict[str, dict[str, Any]]) -> Table:
    table = Table("service", "ready", "workers", "host", "pid", "reason", box=None, header_style="bold")
    for name in keys.SERVICES:
        service = services[name]
        ready = "[green]yes[/]" if service["ready"] else "[red]no[/]"
        workers = f"{service.get('workers_up', 0)}/{service.get('workers', 0)}"
        reason = service["reason"] or _stale(service)
        table.add_row(name, ready, workers, str(service.get("host", "")), str(service.get("pid", "")), reason)
    return table


def _stale(service: dict[str, Any]) -> str:
    age_ms = service["status_age_ms"] or 0
    return f"no status for {age_ms / 1000:.0f} s" if age_ms > farm_status.STALE_MS else ""


def _counts(numbers: dict[str, int | None]) -> str:
    return "  ".join(f"{name} {count(number)}" for name, number in numbers.items())
