"""`hookfarm backfill`: history for one endpoint, beside what is live."""

import asyncio
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hookfarm import config
from hookfarm.cli.completion import endpoint_ids
from hookfarm.cli.deliveries_forms import text_option, utf8, yes_option
from hookfarm.cli.numbers import whole_option
from hookfarm.cli.options import connected, json_option, redis_options, redis_url, settings
from hookfarm.config import ChainConfig, Config
from hookfarm.errors import InvalidInput, OperatorError

if TYPE_CHECKING:
    from hookfarm.backfill.plan import Plan, Request
    from hookfarm.backfill.progress import Progress
    from hookfarm.backfill.state import Backfill

STOP_AGAIN_SECONDS = 0.8
"""A cancellation can get lost: before Python 3.12 `asyncio.wait_for`, which redis-py uses, may swallow it."""
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_HIGHEST = 2**53


@click.command()
@click.argument("endpoint_id", metavar="ENDPOINT", callback=utf8, shell_complete=endpoint_ids)
@click.option("--chain", metavar="ID[=URL,…]", help="The chain; with its nodes, where no setting names them.")
@whole_option("--from-block", 0, _HIGHEST, "The first block")
@whole_option("--to-block", 0, _HIGHEST, "The last block; without it the last one published")
@text_option("--subscription", "Only what this one of the endpoint's subscriptions wants.", "SUB")
@click.option("--again", is_flag=True, help="Begin at the first block, however far an earlier one came.")
@yes_option
@json_option
@redis_options
def backfill(
    endpoint_id: str, chain: str | None, from_block: int | None, to_block: int | None, subscription: str | None,
    again: bool, yes: bool, as_json: bool, config_file: Path | None, **options: Any,
) -> None:  # fmt: skip
    """Deliver what happened in past blocks to one endpoint.

    Its jobs wait in a lane of their own: live events go first. What is delivered or on its way already is not sent
    again, as far as the delivery log goes back; all webhook-ids are those of live delivery. Stopped or killed, the
    same command goes on where it was.

    \b
    Example: hookfarm backfill ep_… --chain 1 --from-block 19000000
    """
    given = settings(config_file, **options)
    nodes = _chain(chain, given)
    if from_block is None:
        raise InvalidInput("--from-block", "is missing; give the first block")
    from hookfarm.backfill.plan import Request

    request = Request(endpoint_id, nodes.chain_id, from_block, to_block, subscription)
    plan, stands, genesis = _prepared(given, request, nodes, again)
    if stands is None:
        from hookfarm.cli.deliveries_again import confirm

        question = (
            f"{plan.blocks:,} blocks of chain {nodes.chain_id} for {endpoint_id} ({plan.endpoint.url}). Go on?"
        )
        confirm(question, yes)
        stands = _begun(given, plan)
    if stands.done_ms is not None:
        _say_done_before(stands, as_json)
        return
    if stands.at is not None:
        click.echo(f"going on behind block {stands.at.number:,}", err=True)
    sys.exit(_perform(given, plan, stands, genesis, as_json))


def _chain(text: str | None, given: Config) -> ChainConfig:
    """The chain meant, with its nodes."""
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
        raise InvalidInput("--chain", f"{text!r} is not the id of a chain, for example 1")
    if text not in known:
        raise InvalidInput("--chain", f"no setting names a node of chain {text}; give --chain {text}=URL")
    return known[text]


def _prepared(
    given: Config, request: "Request", nodes: ChainConfig, again: bool
) -> "tuple[Plan, Backfill | None, str | None]":
    """What is to be done, where it stands if it was begun before, and the genesis that the chain must have."""
    from hookfarm.backfill import state
    from hookfarm.backfill.plan import Plan, last_block, narrowed
    from hookfarm.event_stream import Checkpoint
    from hookfarm.registry.registry import Registry
    from hookfarm.store import keys

    with connected(given) as client:
        endpoint = narrowed(Registry(client).get(request.endpoint), request)
        if endpoint.ordered:
            state.check_free(client, endpoint.id, request.name)
        stands = None if again else state.read(client, request.name)
        checkpoint = client.get(keys.checkpoint(request.chain_id))
        genesis = client.get(keys.genesis(request.chain_id))
    try:
        published = None if checkpoint is None else Checkpoint.decode(checkpoint).number
    except ValueError as error:
        raise OperatorError(f"{keys.checkpoint(request.chain_id)} does not hold NUMBER:HASH") from error
    last = last_block(request, published) if stands is None else stands.to_block
    return Plan(request, endpoint, nodes, last), stands, genesis.decode() if isinstance(genesis, bytes) else None


def _begun(given: Config, plan: "Plan") -> "Backfill":
    """Stored as one that stands before its first block."""
    from hookfarm.backfill import state

    request = plan.request
    facts: dict[str, str | int] = {
        "endpoint": request.endpoint,
        "chain_id": request.chain_id,
        "from_block": request.from_block,
        "to_block": plan.to_block,
        "subscription": request.subscription or "",
    }
    with connected(given) as client:
        return state.begin(client, request.name, facts)


def _perform(given: Config, plan: "Plan", stands: "Backfill", genesis: str | None, as_json: bool) -> int:
    """The exit code: 0 where all of it was handed over."""
    from hookfarm.cli import backfill_shown

    with backfill_shown.shown(as_json) as show:
        done, last = asyncio.run(_run(given, plan, stands, genesis, show))
    if as_json:
        backfill_shown.print_state("done" if done else "stopped", last)
    elif done:
        waits = f"; {last.waiting:,} wait in its lane for the farm" if last.waiting else ""
        known = f", {last.known:,} were known" if last.known else ""
        span = f"blocks {plan.request.from_block:,} to {plan.to_block:,}"
        click.echo(f"{span}: {last.added:,} matches handed over{known}{waits}")
    else:
        click.echo("stopped; the same command goes on from there", err=True)
    return 0 if done else 1


async def _run(
    given: Config, plan: "Plan", stands: "Backfill", genesis: str | None, show: "Callable[[Progress], None]"
) -> "tuple[bool, Progress]":
    """Whether all is handed over, and where it stands then. A signal stops it, at whatever moment."""
    from hookfarm.backfill.run import Run
    from hookfarm.backfill.source import Source
    from hookfarm.chain.timing import Limits
    from hookfarm.matching.index import Index
    from hookfarm.store.clients import async_client

    index = Index()
    for problem in index.put(plan.endpoint):
        raise problem
    async with async_client(redis_url(given)) as client:
        run = Run(client, plan, index, Source(plan.chain, genesis, Limits()), stands, show)
        work, told = asyncio.create_task(run.run()), asyncio.Event()
        for number in _STOPPING:
            asyncio.get_running_loop().add_signal_handler(number, told.set)
        stop = asyncio.create_task(told.wait())
        await asyncio.wait([work, stop], return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        while not work.done():
            work.cancel()
            await asyncio.wait([work], timeout=STOP_AGAIN_SECONDS)
    if not work.cancelled():
        work.result()
    return not work.cancelled(), run.progress()


def _say_done_before(stands: "Backfill", as_json: bool) -> None:
    from hookfarm.backfill.progress import Progress
    from hookfarm.cli import backfill_shown

    total = stands.to_block - stands.from_block + 1
    if as_json:
        was = Progress(stands.to_block, total, total, stands.added, stands.known, 0, None)
        backfill_shown.print_state("done", was)
    else:
        click.echo(f"done before, up to block {stands.to_block:,}; to read it once more give --again")
