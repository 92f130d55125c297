"""Getting hold of a node that serves the right chain, and of a better one."""

import asyncio
import random
import time
from collections.abc import Callable

from hookfarm.chain.node import Node, connect
from hookfarm.chain.node_pool import NodePool, NodeProfile
from hookfarm.chain.rpc import RateLimited
from hookfarm.chain.timing import Limits
from hookfarm.config import ChainConfig
from hookfarm.errors import ChainUnavailable, WrongChain
from hookfarm.event_ingestor.condition import Condition
from hookfarm.event_ingestor.counters import Gauges
from hookfarm.event_ingestor.store import Store
from hookfarm.logs import FieldLogger
from hookfarm.store import keys

STEADY_SECONDS = 10.0
"""A connection that lasted this long was a good one: the next failure is a new one, not one more."""

GAP_SECONDS = 1.0
"""So long a connection may be missing before the chain is; an attempt may take longer than that."""

RETURN_CHECKS = 4
"""How often within the time after which a preferred node may be asked again that is looked at."""


class Connector:
    """Opens the chain's nodes, the preferred node first, each after the rest that its failures earned it."""

    def __init__(
        self,
        chain: ChainConfig,
        limits: Limits,
        store: Store,
        condition: Condition,
        gauges: Gauges,
        log: FieldLogger,
    ) -> None:
        self.name = f"chain {chain.chain_id}"
        self._chain = chain
        self._limits = limits
        self._pool = NodePool(chain.urls, chain.requests_per_second)
        gauges.nodes.watch(self._pool.all)
        self._store = store
        self._condition = condition
        self._gauges = gauges
        self._log = log
        self._since = 0.0

    async def first_one(self) -> Node:
        """The first node that works. WrongChain as soon as one serves another chain."""
        while True:
            profile = await self._next_profile()
            try:
                return self._used(await self._open(profile))
            except ChainUnavailable as error:
                self._failed(profile, error)
            except WrongChain as error:
                self._gauges.nodes.failed(profile, error, 0.0)
                raise

    async def next_one(self) -> Node:
        """After `lost`. A node of another chain is passed over like one that does not answer.

        A node that is back within GAP_SECONDS was never missing.
        """
        missing = asyncio.get_running_loop().call_later(GAP_SECONDS, self._note_gap)
        try:
            while True:
                profile = await self._next_profile()
                try:
                    return self._used(await self._open(profile))
                except (ChainUnavailable, WrongChain) as error:
                    self._failed(profile, error)
        finally:
            missing.cancel()

    async def preferred_one(self, node: Node, checkpoint: Callable[[], int]) -> Node:
        """Waits until a node that is preferred to the node's has recovered: connected, as far as we are."""
        while True:
            await asyncio.sleep(self._limits.return_seconds / RETURN_CHECKS)
            profile = self._pool.preferred_to(node.profile, self._limits.return_seconds)
            if profile is None:
                continue
            try:
                return await self._open_as_far_as(profile, checkpoint())
            except (ChainUnavailable, WrongChain) as error:
                self._gauges.nodes.failed(profile, error, self._pool.failed(profile, random.random()))

    async def second_opinion(self, node: Node) -> int | None:
        """The block number of another node; None where there is none that answers in time."""
        for profile in self._pool.others(node.profile):
            try:
                async with asyncio.timeout(self._limits.probe_seconds):
                    return await self._block_number(profile)
            except (ChainUnavailable, WrongChain, TimeoutError):
                continue
        return None

    def has_others(self, node: Node) -> bool:
        """True while another node could be used at once."""
        return bool(self._pool.others(node.profile))

    def lost(self, node: Node, error: ChainUnavailable) -> None:
        """The node failed. Where its socket still stands, it is the chain that is missing, as of now."""
        self._log.warning("disconnected", chain=self._chain.chain_id, reason=error)
        if time.monotonic() - self._since > STEADY_SECONDS:
            self._pool.succeeded(node.profile)
        others = self.has_others(node)
        self._rest(node.profile, error)
        if not node.closed and not others:
            self._condition.wrong("chain", f"{self.name}: {error}")

    def took_over(self, node: Node) -> None:
        """A preferred node is in use again."""
        self._since = time.monotonic()
        self._used(node)
        self._log.info("returned to the preferred node", chain=self._chain.chain_id, node=node.origin)

    async def _next_profile(self) -> NodeProfile:
        """The node to use next, once it may be."""
        profile, seconds = self._pool.next()
        if seconds:
            await asyncio.sleep(seconds)
        return profile

    def _note_gap(self) -> None:
        if not self._condition.reason:
            self._condition.wrong("chain", f"{self.name}: no node answers")

    def _failed(self, profile: NodeProfile, error: Exception) -> None:
        if profile.failures == 0:
            self._log.warning("node unavailable", chain=self._chain.chain_id, reason=error)
        self._rest(profile, error)
        if self._pool.next()[1] > 0:
            self._condition.wrong("chain", f"{self.name}: {error}")

    def _rest(self, profile: NodeProfile, error: Exception) -> None:
        wanted = error.retry_after_seconds if isinstance(error, RateLimited) else None
        self._gauges.nodes.failed(profile, error, self._pool.failed(profile, random.random(), wanted))

    def _used(self, node: Node) -> Node:
        self._gauges.nodes.in_use(node.profile)
        return node

    async def _block_number(self, profile: NodeProfile) -> int:
        node = await connect(profile, self._limits, lambda _: None, self._gauges.asking(profile))
        try:
            await self._check_identity(node)
            return await node.block_number()
        finally:
            await node.close()

    async def _open_as_far_as(self, profile: NodeProfile, number: int) -> Node:
        node = await self._open(profile)
        if node.newest_head is None or node.newest_head.number < number:
            await node.close()
            raise ChainUnavailable(f"{node.origin}: not as far as block {number}")
        return node

    async def _open(self, profile: NodeProfile) -> Node:
        node = await connect(profile, self._limits, self._gauges.head, self._gauges.asking(profile))
        try:
            await self._check_identity(node)
            await node.head()
        except BaseException:
            await node.close()
            raise
        self._since = time.monotonic()
        self._log.info("connected", chain=self._chain.chain_id, node=node.origin)
        return node

    async def _check_identity(self, node: Node) -> None:
        """The chain id is the configured one; the genesis is the one first seen under it."""
        wanted = self._chain.chain_id
        served = await node.chain_id()
        if served != wanted:
            raise WrongChain(f"{self.name}: {node.origin} serves chain {served}")
        genesis = (await node.header(0)).block_hash
        pinned = await self._store.pin_genesis(genesis)
        if pinned != genesis:
            ours = f"{keys.genesis(wanted)} {keys.checkpoint(wanted)} {keys.blocks(wanted)}"
            problem = f"has genesis {genesis[:10]}…, not {pinned[:10]}… as before"
            raise WrongChain(f"{self.name}: {node.origin} {problem}; to accept it delete the keys {ours}")
