"""`hookfarm backfill`: past blocks for one endpoint; `hookfarm backfills`: list them."""

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import orjson
from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn
from rich.progress import Progress as RichProgress

from hookfarm import config
from hookfarm.backfill import state as backfill_state
from hookfarm.backfill.plan import BackfillPlan, BackfillRequest, last_block, narrowed
from hookfarm.backfill.state import Backfill, BackfillFilter, Progress
from hookfarm.cli.options import (
    MAX_LISTED,
    choice_option,
    connected,
    endpoint_ids,
    json_option,
    redis_options,
    redis_url,
    settings,
    text_option,
    utf8,
    whole_option,
    yes_option,
)
from hookfarm.cli.output import UNKNOWN, columns, confirm, count, elapsed, plain, print_json, rate
from hookfarm.cli.status_output import BACKFILL_HEADINGS, backfill_row
from hookfarm.config import ChainConfig, Config
from hookfarm.errors import InvalidInput, OperatorError
from hookfarm.event_stream import Checkpoint
from hookfarm.farm.async_child import run_until_stopped
from hookfarm.registry.store import Registry
from hookfarm.store import keys
from hookfarm.store.clients import async_client

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_MAX_BLOCK = 2**53
LINE_SECONDS = 5.0
JSON_SECONDS = 1.0
_STATES = ("running", "stopped", "done")
Show = Callable[[Progress], None]


@click.command()
@click.argument("endpoint_id", metavar="ENDPOINT", callback=utf8, shell_complete=endpoint_ids)
@click.option("--chain", metavar="ID[=URL,…]", help="Chain id; add node URLs if none are configured.")
@whole_option("--from-block", 0, _MAX_BLOCK, "First block")
@whole_option("--to-block", 0, _MAX_BLOCK, "Last block. [default: the last published block]")
@text_option("--subscription", "Only this subscription of the endpoint. [default: all]", "SUB")
@click.option("--restart", is_flag=True, help="Start at the first block again instead of continuing.")
@yes_option
@json_option
@redis_options
def backfill(
    endpoint_id: str, chain: str | None, from_block: int | None, to_block: int | None, subscription: str | None,
    restart: bool, yes: bool, as_json: bool, config_file: Path | None, **options: Any,
) -> None:  # fmt: skip
    """Deliver past blocks to one endpoint.

    Its jobs wait in a separate backfill queue; live events are delivered first. Logs that are queued or in the
    delivery log are skipped. Webhook-ids are the same as in live delivery. After a stop or a kill, the same
    command continues the backfill.

    \b
    Example: hookfarm backfill ep_… --chain 1 --from-block 19000000
    """
    given = settings(config_file, **options)
    nodes = _chain(chain, given)
    if from_block is None:
        raise InvalidInput("--from-block", "is missing; give the first block")
    request = BackfillRequest(endpoint_id, nodes.chain_id, from_block, to_block, subscription)
    plan, position = _prepare(given, request, nodes, restart)
    if position is None:
        question = (
            f"{plan.blocks:,} blocks of chain {nodes.chain_id} for {endpoint_id} ({plan.endpoint.url}). Continue?"
        )
        confirm(question, yes)
        position = _start(given, plan)
    if position.done_ms is not None:
        _print_done_before(position, as_json)
        return
    if position.position is not None:
        click.echo(f"continuing after block {position.position.number:,}", err=True)
    sys.exit(_perform(given, plan, position, as_json))


def _chain(text: str | None, given: Config) -> ChainConfig:
    """Return the chain with its nodes."""
    if text is None:
        raise InvalidInput("--chain", "is missing; give the id of the chain")
    if "=" in text:
        try:
            [chain] = config.chains([text])
        except ValueError as error:
            raise InvalidInput("--chain", str(error)) from error
        return chain
    known = {str(chain.chain_id): chain for chain in given.chains}
    if not text.isdecimal() or int(text) == 0:
        raise InvalidInput("--chain", f"{text!r} is not a chain id; give a number such as 1")
    if text not in known:
        raise InvalidInput("--chain", f"chain {text} has no configured node; give --chain {text}=URL")
    return known[text]


def _prepare(
    given: Config, request: BackfillRequest, nodes: ChainConfig, restart: bool
) -> tuple[BackfillPlan, Backfill | None]:
    """Return the plan, and the state of an earlier run, if any."""
    with connected(given) as client:
        endpoint = narrowed(Registry(client).get(request.endpoint), request)
        if endpoint.ordered:
            backfill_state.check_unlocked(client, endpoint.id, request.name)
        position = None if restart else backfill_state.read(client, request.name)
        checkpoint = client.get(keys.checkpoint(request.chain_id))
        first = client.get(keys.genesis(request.chain_id))
    published = _decode(keys.checkpoint(request.chain_id), checkpoint)
    number = None if published is None else published.number
    last = last_block(request, number) if position is None else position.to_block
    first_block = _decode(keys.genesis(request.chain_id), first)
    return BackfillPlan(request, endpoint, nodes, last, first_block), position


def _decode(key: str, stored: Any) -> Checkpoint | None:
    try:
        return None if stored is None else Checkpoint.decode(stored)
    except ValueError as error:
        raise OperatorError(f"{key} does not hold NUMBER:HASH") from error


def _start(given: Config, plan: BackfillPlan) -> Backfill:
    """Store the state of a new backfill, before its first block."""
    request = plan.request
    facts: dict[str, str | int] = {
        "endpoint": request.endpoint,
        "chain_id": request.chain_id,
        "from_block": request.from_block,
        "to_block": plan.to_block,
        "subscription": request.subscription or "",
    }
    with connected(given) as client:
        return backfill_state.start(client, request.name, facts)


def _perform(given: Config, plan: BackfillPlan, position: Backfill, as_json: bool) -> int:
    """Run the backfill. Return the exit code: 0 if all its jobs were queued."""
    with progress_display(as_json) as show:
        done, last = asyncio.run(_run(given, plan, position, show))
    if as_json:
        print_progress("done" if done else "stopped", last)
    elif done:
        waits = f"; {last.queued:,} waiting in the backfill queue" if last.queued else ""
        known = f", {last.already_delivered:,} skipped" if last.already_delivered else ""
        span = f"blocks {plan.request.from_block:,} to {plan.to_block:,}"
        read = f"; {last.logs_received:,} logs read"
        click.echo(f"{span}: {last.delivered_new:,} matches queued{known}{waits}{read}")
    else:
        click.echo("stopped; run the same command to continue", err=True)
    return 0 if done else 1


async def _run(given: Config, plan: BackfillPlan, position: Backfill, show: Show) -> tuple[bool, Progress]:
    """Run until done or until a signal; return whether it is done, and the last progress."""
    # web3 takes a second to import; `backfills` and shell completion don't need it.
    from hookfarm.backfill.run import BackfillRun

    async with async_client(redis_url(given)) as client:
        run = BackfillRun(client, plan, position, show)
        work, stopping = asyncio.create_task(run.run()), asyncio.Event()
        for number in _STOPPING:
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        await run_until_stopped(stopping, work)
    if not work.cancelled():
        work.result()
    return not work.cancelled(), run.progress()


def _print_done_before(position: Backfill, as_json: bool) -> None:
    total = position.to_block - position.from_block + 1
    if as_json:
        was = Progress(
            position.to_block,
            *(total, total, position.delivered_new, position.already_delivered, 0, position.logs_received),
            None,
        )
        print_progress("done", was)
    else:
        click.echo(f"already done up to block {position.to_block:,}; --restart reads the blocks again")


@contextlib.contextmanager
def progress_display(
    as_json: bool, console: Console | None = None, clock: Callable[[], float] = time.monotonic
) -> Iterator[Show]:
    """Yield a function that shows each new progress: a bar or lines on stderr, or JSON on stdout."""
    console = console or Console(stderr=True)
    if as_json:
        yield _throttled(lambda progress: print_progress("running", progress), JSON_SECONDS, clock)
    elif console.is_terminal:
        parts = (TextColumn("backfill"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[line]}"))
        with RichProgress(*parts, console=console) as bar:
            task = bar.add_task("backfill", total=None, line="")
            yield lambda progress: bar.update(
                task, total=progress.total, completed=progress.blocks, line=progress_line(progress)
            )
    else:
        yield _throttled(lambda progress: click.echo(progress_line(progress), err=True), LINE_SECONDS, clock)


def progress_line(progress: Progress) -> str:
    """Return the progress as one line of text, with the reason instead of the speed if it is stuck."""
    left = UNKNOWN if progress.seconds_left is None else elapsed(progress.seconds_left)
    speed = progress.reason or f"{rate(progress.blocks_per_second)} blocks/s  {left} left"
    done = f"{count(progress.blocks)} of {count(progress.total)} blocks"
    matches = f"{count(progress.logs_received)} logs read  {count(progress.delivered_new)} matches"
    return plain(f"{done}  {matches}  {count(progress.queued)} waiting  {speed}")


def print_progress(state: str, progress: Progress) -> None:
    """Print the state (`running`, `stopped`, `done`) and the numbers as one line of JSON."""
    numbers: dict[str, Any] = {
        "state": state,
        "at_block": progress.at_block,
        "blocks": progress.blocks,
        "total": progress.total,
        "delivered_new": progress.delivered_new,
        "already_delivered": progress.already_delivered,
        "queued": progress.queued,
        "logs_received": progress.logs_received,
        "blocks_per_second": progress.blocks_per_second,
        "remaining_ms": None if progress.seconds_left is None else round(1000 * progress.seconds_left),
        "reason": progress.reason,
    }
    click.echo(orjson.dumps(numbers))


def _throttled(show: Show, interval_seconds: float, clock: Callable[[], float]) -> Show:
    """Return a function that shows progress at intervals, and at once when it stalls or resumes."""
    shown_at, was_stuck = float("-inf"), False

    def show_if_due(progress: Progress) -> None:
        nonlocal shown_at, was_stuck
        is_stuck = bool(progress.reason)
        if clock() - shown_at < interval_seconds and is_stuck == was_stuck:
            return
        shown_at, was_stuck = clock(), is_stuck
        show(progress)

    return show_if_due


@click.command()
@text_option("--endpoint", "Only backfills of this endpoint.", "EP", endpoint_ids)
@choice_option("--state", "Only backfills in this state", "STATE", *_STATES)
@whole_option("--limit", 1, MAX_LISTED, "Maximum number of backfills", 50)
@json_option
@redis_options
def backfills(
    endpoint: str | None, state: str | None, limit: int, as_json: bool, config_file: Path | None, **options: Any
) -> None:
    """List backfills: progress, speed, and the jobs in their endpoint's backfill queue.

    The most recently active backfill comes first; each is listed for 30 days. A backfill without a heartbeat for
    10 s is stopped: `hookfarm backfill` with the same options continues it.

    \b
    Example: hookfarm backfills --state running
    """
    with connected(settings(config_file, **options)) as client:
        found, following = backfill_state.page(client, BackfillFilter(endpoint, state), None, limit)
    rows = [each.public() for each in found]
    if as_json:
        print_json(rows)
        return
    for line in columns([BACKFILL_HEADINGS, *map(backfill_row, rows)]):
        click.echo(line)
    if following is not None:
        click.echo(f"more than {limit} backfills; raise --limit", err=True)
