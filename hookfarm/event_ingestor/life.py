"""One ingestor, put together; beside it its heartbeat, and the master's word to stop."""

import asyncio
from typing import TYPE_CHECKING

from hookfarm import logs
from hookfarm.chain.prover import Prover
from hookfarm.chain.timing import Limits
from hookfarm.config import ChainConfig
from hookfarm.event_ingestor.condition import Condition
from hookfarm.event_ingestor.connecting import Connector
from hookfarm.event_ingestor.counters import Gauges
from hookfarm.event_ingestor.finality_heads import FinalityHeads
from hookfarm.event_ingestor.ingestor import Ingestor
from hookfarm.event_ingestor.publisher import Publisher
from hookfarm.event_ingestor.store import Store
from hookfarm.farm.child import Child
from hookfarm.farm.scoreboard import Slot, State
from hookfarm.store import clients
from hookfarm.store.keys import EVENT_INGESTOR

if TYPE_CHECKING:
    from hookfarm.tracing.spans import Spans

DEFAULT_LIMITS = Limits()
HEARTBEAT_SECONDS = 0.5
HEARTBEAT_PROMISE_SECONDS = 1.2
STOP_AGAIN_SECONDS = 0.8
"""A cancellation can get lost: before Python 3.12 `asyncio.wait_for`, which redis-py uses, may swallow it."""


async def live(
    child: Child,
    chain: ChainConfig,
    redis_url: str,
    from_block: int | None,
    limits: Limits = DEFAULT_LIMITS,
    spans: "Spans | None" = None,
) -> None:
    """Runs the chain's ingestor until `child` is told to stop."""
    work = asyncio.create_task(_ingest(child, chain, redis_url, from_block, limits, spans))
    heartbeat = asyncio.create_task(_beat(child.slot))
    try:
        await _until_told_to_stop(child, work)
        while not work.done():
            work.cancel()
            await asyncio.wait([work], timeout=STOP_AGAIN_SECONDS)
    finally:
        heartbeat.cancel()
    if not work.cancelled():
        work.result()
    child.slot.state = State.QUIET


async def _until_told_to_stop(child: Child, work: "asyncio.Task[None]") -> None:
    """Waits for the word to stop, or for the end of `work`."""
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(child.stop_fd, told.set)
    waiting = asyncio.create_task(told.wait())
    await asyncio.wait([work, waiting], return_when=asyncio.FIRST_COMPLETED)
    loop.remove_reader(child.stop_fd)
    waiting.cancel()


async def _ingest(
    child: Child, chain: ChainConfig, redis_url: str, from_block: int | None, limits: Limits, spans: "Spans | None"
) -> None:
    log = logs.get(EVENT_INGESTOR)
    gauges = Gauges(child.slot, chain.chain_id)
    condition = Condition(child, chain.chain_id, log)
    async with clients.async_client(redis_url) as client:
        store = Store(client, chain.chain_id, condition)
        connector = Connector(chain, limits, store, condition, gauges, log)
        prover = Prover(chain.chain_id, chain.verify)
        publisher = Publisher(prover, chain.chain_id, from_block, store, condition, gauges, log, spans)
        finality_heads = FinalityHeads(chain.chain_id, store, log)
        await Ingestor(connector, publisher, condition, finality_heads).run(limits.boot_seconds)


async def _beat(slot: Slot) -> None:
    while True:
        slot.promise(HEARTBEAT_PROMISE_SECONDS)
        await asyncio.sleep(HEARTBEAT_SECONDS)
