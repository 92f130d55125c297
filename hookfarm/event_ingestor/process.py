"""A process of the ingestors: imports before the fork, and the chains that it follows, each in a slot of its own.

The module itself imports nothing heavy, because the master imports it and every child inherits that memory.
"""

import asyncio
import gc
import importlib
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from hookfarm import logs
from hookfarm.backoff import delay
from hookfarm.chain.timing import NodeTimeouts
from hookfarm.config import ChainConfig
from hookfarm.errors import HookfarmError
from hookfarm.farm.async_child import heartbeat, run_until_stopped, stop_event
from hookfarm.farm.child import Child
from hookfarm.farm.scoreboard import Slot, State
from hookfarm.store import keys
from hookfarm.tracing import TracingSettings, open_spans

if TYPE_CHECKING:
    from hookfarm.tracing.spans import Spans

DEFAULT_TIMEOUTS = NodeTimeouts()
HEARTBEAT_SECONDS = 0.5
HEARTBEAT_WITHIN_SECONDS = 1.2
FIRST_PAUSE_SECONDS = 0.1
MAX_PAUSE_SECONDS = 30.0
"""Pauses of a chain that failed; as the master's between the processes of a slot."""
COLLECT_EVERY = 50_000
"""Container allocations between garbage collections. One response of a node allocates 10,000 containers, none in a
cycle. At Python's default of 700, a third of the time is spent in collections."""

_INGESTOR = "hookfarm.event_ingestor.ingestor"

Ingest = Callable[[Slot, ChainConfig], Awaitable[None]]
"""Function that follows one chain until cancelled."""


def prepare() -> None:
    """Import the heavy modules; web3 takes more than a second."""
    importlib.import_module(_INGESTOR)


def run(
    child: Child,
    chains: Sequence[ChainConfig],
    redis_url: str,
    from_block: int | None,
    tracing: TracingSettings | None = None,
) -> None:
    """Follow the chains, each in its slot of the child, until the child is asked to stop; a stop loses nothing.

    While no node of a chain answers, its slot is stalled. Raises the error of the last chain when all have failed,
    such as WrongChain with a one-line reason.
    """
    gc.set_threshold(COLLECT_EVERY)
    with open_spans(tracing, child) as spans:
        asyncio.run(run_ingestor(child, chains, redis_url, from_block, spans=spans))


async def run_ingestor(
    child: Child,
    chains: Sequence[ChainConfig],
    redis_url: str,
    from_block: int | None,
    timeouts: NodeTimeouts = DEFAULT_TIMEOUTS,
    spans: "Spans | None" = None,
    wall_clock: Callable[[], float] = time.time,
) -> None:
    """Run the chains' ingestors and their heartbeat until the child is asked to stop."""
    # Heavy: it imports web3.
    ingest = importlib.import_module(_INGESTOR).ingest
    supervisor = ChainSupervisor(
        lambda slot, chain: ingest(slot, chain, redis_url, from_block, timeouts, spans, wall_clock), len(chains)
    )
    works = [asyncio.create_task(supervisor.run(*each)) for each in zip(child.slots, chains, strict=True)]
    with stop_event(child) as stop:
        async with heartbeat(child, HEARTBEAT_SECONDS, HEARTBEAT_WITHIN_SECONDS):
            await run_until_stopped(stop, *works)
    for work in works:
        if not work.cancelled():
            work.result()
    for slot in child.slots:
        slot.state = State.QUIET


class ChainSupervisor:
    """Supervisor of the chains of one process: a failed one is tried again while another one has not failed.

    When all have failed, the last error ends the process, and the master forks it again after a pause.
    """

    def __init__(self, ingest: Ingest, count: int) -> None:
        self._ingest = ingest
        self._count = count
        self._log = logs.get(keys.EVENT_INGESTOR)
        self._failures: dict[Slot, int] = {}
        """Failures in a row of the slots that have failed, until they are up."""

    async def run(self, slot: Slot, chain: ChainConfig) -> None:
        """Follow one chain. Raises its error if all other chains of the process have failed, too."""
        while True:
            try:
                await self._ingest(slot, chain)
            except Exception as error:
                failures = self._count_failure(slot)
                if len(self._failures) == self._count:
                    raise
                pause = delay(failures - 1, FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS, random.random())
                slot.mark_stalled(self._log_failure(chain, error, pause))
                await asyncio.sleep(pause)

    def _count_failure(self, slot: Slot) -> int:
        """Return the failures of the slot in a row, this one included."""
        self._failures = {each: count for each, count in self._failures.items() if each.state != State.UP}
        self._failures[slot] = self._failures.get(slot, 0) + 1
        return self._failures[slot]

    def _log_failure(self, chain: ChainConfig, error: Exception, pause: float) -> str:
        """Log why a chain has failed, and return the reason."""
        retry = round(pause, 2)
        if isinstance(error, HookfarmError):
            self._log.warning("chain failed", chain=chain.chain_id, reason=error, retry_in_s=retry)
            return str(error)
        reason = f"{type(error).__name__}: {error}"
        self._log.exception("chain crashed", chain=chain.chain_id, reason=reason, retry_in_s=retry)
        return reason
