"""The process of one chain's ingestor: imports before the fork, and the main function.

The module itself imports nothing heavy, because the master imports it and every child inherits that memory.
"""

import asyncio
import gc
import importlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from hookfarm.chain.timing import NodeTimeouts
from hookfarm.config import ChainConfig
from hookfarm.farm.async_child import heartbeat, run_until_stopped, stop_event
from hookfarm.farm.child import Child
from hookfarm.farm.scoreboard import State
from hookfarm.tracing import TracingSettings, open_spans

if TYPE_CHECKING:
    from hookfarm.tracing.spans import Spans

DEFAULT_TIMEOUTS = NodeTimeouts()
HEARTBEAT_SECONDS = 0.5
HEARTBEAT_WITHIN_SECONDS = 1.2
COLLECT_EVERY = 50_000
"""Container allocations between garbage collections. One response of a node allocates 10,000 containers, none in a
cycle. At Python's default of 700, a third of the time is spent in collections."""

_INGESTOR = "hookfarm.event_ingestor.ingestor"


def prepare() -> None:
    """Import the heavy modules; web3 takes more than a second."""
    importlib.import_module(_INGESTOR)


def run(
    child: Child,
    chain: ChainConfig,
    redis_url: str,
    from_block: int | None,
    tracing: TracingSettings | None = None,
) -> None:
    """Run the child until it is asked to stop; a stop at any time loses nothing.

    Raises WrongChain with a one-line reason. While no node answers, the child is stalled.
    """
    gc.set_threshold(COLLECT_EVERY)
    with open_spans(tracing, child) as spans:
        asyncio.run(run_ingestor(child, chain, redis_url, from_block, spans=spans))


async def run_ingestor(
    child: Child,
    chain: ChainConfig,
    redis_url: str,
    from_block: int | None,
    timeouts: NodeTimeouts = DEFAULT_TIMEOUTS,
    spans: "Spans | None" = None,
    wall_clock: Callable[[], float] = time.time,
) -> None:
    """Run the chain's ingestor and its heartbeat until the child is asked to stop."""
    # Heavy: it imports web3.
    ingest = importlib.import_module(_INGESTOR).ingest
    work = asyncio.create_task(ingest(child, chain, redis_url, from_block, timeouts, spans, wall_clock))
    with stop_event(child) as stop:
        async with heartbeat(child, HEARTBEAT_SECONDS, HEARTBEAT_WITHIN_SECONDS):
            await run_until_stopped(stop, work)
    if not work.cancelled():
        work.result()
    child.slot.state = State.QUIET
