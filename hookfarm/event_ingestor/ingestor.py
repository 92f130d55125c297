"""The loop of one chain: wait for a head, publish up to it, and fail over when the node fails."""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from hookfarm import logs
from hookfarm.chain.block import Head
from hookfarm.chain.budget import kept_in_redis
from hookfarm.chain.failover import Failover, FailoverListener
from hookfarm.chain.node import Node
from hookfarm.chain.node_pool import NodeProfile
from hookfarm.chain.prover import Prover
from hookfarm.chain.rpc import BudgetUsed, Doubtful, RateLimited
from hookfarm.chain.timing import NodeTimeouts, backoff_seconds
from hookfarm.config import ChainConfig
from hookfarm.errors import ChainUnavailable, WrongChain
from hookfarm.event_ingestor.publisher import Publisher
from hookfarm.event_ingestor.telemetry import IngestorCounters, Telemetry
from hookfarm.event_stream import ReorgWindow, RetryingChainStream, pin_block
from hookfarm.farm.scoreboard import Slot
from hookfarm.outage import Outage
from hookfarm.store import clients, keys
from hookfarm.store.clients import RetryingClient

if TYPE_CHECKING:
    from hookfarm.tracing.spans import Spans

from hookfarm.chain.block import parse_header
from hookfarm.chain.node import result_or_raise
from hookfarm.chain.profiles import profile_of
from hookfarm.chain.rpc import Call
from hookfarm.event_stream import Checkpoint, set_finality_heads
from hookfarm.logs import FieldLogger

MAX_FAILURES = 6
"""Consecutive failures to return a block (5 to 8 s) until the next node is tried."""
MAX_FAILURES_WITH_OTHERS = 2
"""The same (0.3 s) if another node is available."""
MAX_FAILURES_UNMARKED = 3
"""Failures of all nodes since the checkpoint moved (0.6 to 0.9 s), beyond which an outage begins."""
RATE_LIMIT_SECONDS = 1.0
"""Cooldown of a rate-limited node that requested none."""
TAGS_SECONDS = 1.0
"""Max wait of a boot for the safe and finalized block; it continues without them."""
MAX_WAIT_SECONDS = 5.0
"""Max pause that a node may request; for a longer one the next node is tried."""


class FinalityHeadsPublisher:
    """Publisher of the safe and finalized blocks on the published branch.

    A tagged head above the checkpoint is published as the checkpoint, if that is canonical.

    If the nodes do not support a tag, or never have a block for it, a single warning is logged, and deliveries
    count the confirmations of the chain's profile instead until a node has one.
    """

    def __init__(self, stream: RetryingChainStream, log: FieldLogger) -> None:
        self._stream = stream
        self._log = log
        self._warned: set[str] = set()

    async def publish(self, node: Node, checkpoint: int) -> None:
        """Publish the tagged heads reported since the last call, up to the checkpoint."""
        news: dict[str, Checkpoint | None] = {}
        for tag, header in node.tags.drain().items():
            if header is None:
                self._warn_once(tag, node)
                news[tag] = None
            elif header.number <= checkpoint:
                news[tag] = Checkpoint(header.number, header.block_hash)
            else:
                with contextlib.suppress(ChainUnavailable):
                    news[tag] = await _up_to(checkpoint, tag, node)
        if news:
            await self._stream.call(set_finality_heads, news)

    async def publish_during_catch_up(self, node: Node, checkpoint: Checkpoint) -> None:
        """Fetch the tagged heads if they are due, and publish them.

        Range requests do not include the tags. The heads are used only if the checkpoint is canonical on the
        node; a failing node is tried again later.
        """
        tags = node.tags.due()
        if not tags:
            return
        canonical: Call = ("eth_getBlockByNumber", [hex(checkpoint.number), False])
        with contextlib.suppress(ChainUnavailable):
            answer, *tagged = await node.request_all([canonical, *tags])
            if parse_header(result_or_raise(answer)).block_hash == checkpoint.block_hash:
                node.tags.record(tagged, node.head_number)
                await self.publish(node, checkpoint.number)

    def _warn_once(self, tag: str, node: Node) -> None:
        if tag not in self._warned:
            self._warned.add(tag)
            self._log.warning(
                "tag not supported",
                chain=self._stream.chain_id,
                tag=tag,
                node=node.origin,
                confirmations=profile_of(self._stream.chain_id).tag_blocks[tag],
            )


async def _up_to(number: int, tag: str, node: Node) -> Checkpoint:
    """Return the tagged head, or the canonical block of this number below it, both read in one batch."""
    calls: list[Call] = [("eth_getBlockByNumber", [name, False]) for name in (tag, hex(number))]
    head, block = (parse_header(result_or_raise(answer)) for answer in await node.request_all(calls))
    lower = block if block.number < head.number else head
    return Checkpoint(lower.number, lower.block_hash)


class Ingestor:
    """Ingestor of one chain; runs until cancelled.

    1. Boot: connect to a node of the right chain, however long it takes, and read its head and the checkpoint; or
       raise WrongChain. While no node can be used, the slot is stalled with the reason.
    2. Follow: publish up to each head.
    3. If the node fails or serves another chain, connect to the next one and follow from the checkpoint.
    4. If a preferred node has recovered, switch to it.
    """

    def __init__(
        self, failover: Failover, publisher: Publisher, outage: Outage, finality_heads: FinalityHeadsPublisher
    ) -> None:
        self._failover = failover
        self._publisher = publisher
        self._outage = outage
        self._finality_heads = finality_heads
        self._node: Node | None = None
        self._is_booted = False
        self._failures = 0
        """Failures of all nodes since the checkpoint last moved."""

    async def run(self) -> None:
        try:
            node = self._node = await self._failover.connect()
            while True:
                node = self._node = await self._serve(node)
        finally:
            if self._node is not None:
                await self._node.close()

    async def _boot(self, node: Node) -> None:
        """Read head and checkpoint, and mark the slot. Raises ChainUnavailable."""
        await self._publisher.boot(node, node.newest_head or await node.head())
        await self._ask_for_tags(node)
        self._is_booted = True
        self._outage.booted()

    async def _ask_for_tags(self, node: Node) -> None:
        """Publish the tagged heads: later calls come only with blocks, and a stalled chain has no new ones."""
        if self._publisher.checkpoint is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TAGS_SECONDS):
                    await self._finality_heads.publish_during_catch_up(node, self._publisher.checkpoint)

    async def _serve(self, node: Node) -> Node:
        """Follow the chain on this node until it fails or a preferred one has recovered.

        Return the node to use next.
        """
        better = asyncio.create_task(self._failover.await_preferred(node, self._checkpoint_number))
        try:
            if not self._is_booted:
                await self._boot(node)
            await self._follow(node, better)
        except (ChainUnavailable, WrongChain) as error:
            self._failover.lost(node, error)
        finally:
            await node.close()
            better.cancel()
            await asyncio.wait([better])
            if not better.cancelled():
                self._node = better.result()
        if better.cancelled():
            return await self._failover.reconnect()
        self._failover.switched(better.result())
        return better.result()

    async def _follow(self, node: Node, better: "asyncio.Task[Node]") -> None:
        """Publish up to each new head; return when a preferred node is connected."""
        while not better.done():
            head = await node.next_head(lambda: self._failover.second_opinion(node))
            await self._advance(node, head)
            if self._publisher.checkpoint is not None:
                await self._finality_heads.publish(node, self._publisher.checkpoint.number)

    def _checkpoint_number(self) -> int:
        return 0 if self._publisher.checkpoint is None else self._publisher.checkpoint.number

    async def _advance(self, node: Node, head: Head) -> None:
        """Publish up to `head` or a newer one, with a pause after each failure. Raises ChainUnavailable."""
        failures, reached = 0, self._publisher.checkpoint
        while True:
            try:
                await self._publisher.advance(node, head, self._finality_heads.publish_during_catch_up)
                self._failures = 0
                return
            except ChainUnavailable as error:
                node.tags.drain()  # Perhaps of another chain.
                if self._publisher.checkpoint != reached:
                    failures, reached, self._failures = 0, self._publisher.checkpoint, 0
                failures, self._failures = failures + 1, self._failures + 1
                pause = _pause_after(error, failures)
                leave = node.closed or self._should_leave(node, error, failures, pause)
                if self._failures > MAX_FAILURES_UNMARKED or (pause >= RATE_LIMIT_SECONDS and not leave):
                    self._outage.fail("chain", f"{self._failover.name}: {error}")
                    if isinstance(error, Doubtful):
                        await self._publisher.record_doubt(error)
                if leave:
                    raise
            await asyncio.sleep(pause)
            head = node.newest_head or head

    def _should_leave(self, node: Node, error: ChainUnavailable, failures: int, pause: float) -> bool:
        """Return whether to try the next node; a rate-limited node is left as soon as another is available."""
        others = self._failover.has_others(node)
        if isinstance(error, RateLimited):
            return others or pause > MAX_WAIT_SECONDS
        return failures > (MAX_FAILURES_WITH_OTHERS if others else MAX_FAILURES)


def _pause_after(error: ChainUnavailable, failures: int) -> float:
    pause = backoff_seconds(failures - 1, random.random())
    if not isinstance(error, RateLimited):
        return pause
    return max(pause, RATE_LIMIT_SECONDS if error.retry_after_seconds is None else error.retry_after_seconds)


class _NodeListener(FailoverListener):
    """Listener that counts and logs events of a chain's nodes, and records outages of the chain."""

    def __init__(self, chain_id: int, telemetry: Telemetry) -> None:
        self._chain_id = chain_id
        self._counters = telemetry.counters
        self._outage = telemetry.outage
        self._log = telemetry.log

    def on_head(self, head: Head) -> None:
        self._counters.head(head)

    def on_request(self, profile: NodeProfile) -> None:
        self._counters.requested()
        self._counters.nodes.requested(profile)

    def on_connected(self, node: Node) -> None:
        self._log.info("connected", chain=self._chain_id, node=node.origin)

    def on_hedged(self, profile: NodeProfile) -> None:
        self._counters.nodes.hedged(profile)

    def on_hedge_won(self, profile: NodeProfile) -> None:
        self._counters.nodes.hedge_won(profile)

    def on_active(self, node: Node) -> None:
        self._counters.nodes.active(node.profile)

    def on_switched(self, node: Node) -> None:
        self._log.info("returned to the preferred node", chain=self._chain_id, node=node.origin)

    def on_failed(self, profile: NodeProfile, error: Exception, cooldown_seconds: float) -> None:
        self._counters.nodes.failed(profile, error, cooldown_seconds)
        if isinstance(error, BudgetUsed):
            self._log.warning("node over budget", chain=self._chain_id, reason=error)

    def on_unreachable(self, profile: NodeProfile, error: Exception) -> None:
        self._log.warning("node unavailable", chain=self._chain_id, reason=error)

    def on_disconnected(self, node: Node, error: ChainUnavailable | WrongChain) -> None:
        self._log.warning("disconnected", chain=self._chain_id, reason=error)

    def on_gap(self, profile: NodeProfile) -> None:
        if not self._outage.is_ongoing:
            self._outage.fail("chain", f"chain {self._chain_id}: {profile.origin}: no answer yet")

    def on_unavailable(self, error: Exception) -> None:
        self._outage.fail("chain", f"chain {self._chain_id}: {error}")


async def ingest(
    slot: Slot,
    chain: ChainConfig,
    redis_url: str,
    from_block: int | None,
    timeouts: NodeTimeouts,
    spans: "Spans | None" = None,
    wall_clock: Callable[[], float] = time.time,
) -> None:
    """Build the chain's ingestor and run it in its slot until cancelled. Raises WrongChain.

    `wall_clock`: as for Failover.
    """
    log = logs.get(keys.EVENT_INGESTOR)
    counters = IngestorCounters(slot, chain.chain_id, verify=chain.verify)
    outage = Outage(slot, log, booting=True, on_change=counters.outage, chain=chain.chain_id)
    telemetry = Telemetry(counters, outage, log)
    async with clients.async_client(redis_url) as client:
        redis = RetryingClient(
            client, lambda error: outage.fail("redis", f"Redis: {error}"), lambda: outage.recover("redis")
        )
        stream = RetryingChainStream(redis, chain.chain_id)
        listener = _NodeListener(chain.chain_id, telemetry)
        ours = f"{keys.genesis(chain.chain_id)} {keys.checkpoint(chain.chain_id)} {keys.blocks(chain.chain_id)}"
        failover = Failover(
            chain,
            timeouts,
            lambda block: stream.call(pin_block, block),
            listener,
            f"; to accept it delete the keys {ours}",
            wall_clock,
        )
        counters.nodes.watch(failover.pool.all)
        prover = Prover(chain.chain_id, chain.verify)
        window = ReorgWindow(chain.reorg_window, chain.reorg_bytes)
        publisher = Publisher(stream, prover, telemetry, from_block, spans, window)
        heads = FinalityHeadsPublisher(stream, log)
        async with kept_in_redis(redis, [profile.budget for profile in failover.pool.all]):
            await Ingestor(failover, publisher, outage, heads).run()
