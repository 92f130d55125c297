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
from hookfarm.farm.async_child import cancel_on, heartbeat, stop_event
from hookfarm.farm.child import Child
from hookfarm.farm.scoreboard import State
from hookfarm.store import clients
from hookfarm.store.keys import EVENT_INGESTOR

if TYPE_CHECKING:
    from hookfarm.tracing.spans import Spans

DEFAULT_LIMITS = Limits()
HEARTBEAT_SECONDS = 0.5
HEARTBEAT_WITHIN_SECONDS = 1.2


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
    with stop_event(child) as stop:
        async with heartbeat(child, HEARTBEAT_SECONDS, HEARTBEAT_WITHIN_SECONDS):
            await cancel_on(stop, work)
    if not work.cancelled():
        work.result()
    child.slot.state = State.QUIET


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
