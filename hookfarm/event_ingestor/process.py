"""The process of one chain, seen from the master that forks it.

Imports nothing heavy: the master imports this module, and what it has in memory all its children inherit.
"""

import asyncio
import gc
import importlib

from hookfarm.config import ChainConfig
from hookfarm.farm.child import Child
from hookfarm.tracing.setup import TracingSettings, open_spans

_LIFE = "hookfarm.event_ingestor.life"
COLLECT_EVERY = 50_000
"""New containers. One answer of a node makes 10,000 of them, none in a cycle: at Python's 700 a third of the time
goes into looking for some."""


def prepare() -> None:
    """The heavy imports: web3 takes more than a second."""
    importlib.import_module(_LIFE)


def run(
    child: Child,
    chain: ChainConfig,
    redis_url: str,
    from_block: int | None,
    tracing: TracingSettings | None = None,
) -> None:
    """The child's whole life; returns once it is told to stop, at whatever moment without losing anything.

    CouldNotBoot or WrongChain, with the reason in one line, where it cannot start.
    """
    gc.set_threshold(COLLECT_EVERY)
    live = importlib.import_module(_LIFE).live
    with open_spans(tracing, child) as spans:
        asyncio.run(live(child, chain, redis_url, from_block, spans=spans))
