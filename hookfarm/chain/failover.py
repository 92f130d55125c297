"""Fail-over between a chain's nodes: connect to the preferred available node, on a failure to the next one."""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial

from hookfarm.chain.block import Head
from hookfarm.chain.head_signal import NOT_YET_BLOCKS
from hookfarm.chain.node import Node, connect
from hookfarm.chain.node_pool import NodePool, NodeProfile
from hookfarm.chain.profiles import profile_of
from hookfarm.chain.rpc import RateLimited
from hookfarm.chain.timing import NodeTimeouts
from hookfarm.config import ChainConfig
from hookfarm.errors import ChainUnavailable, WrongChain
from hookfarm.event_stream import Checkpoint

STEADY_SECONDS = 10.0
"""A connection that lasted this long resets the node's count of consecutive failures."""

GAP_SECONDS = 1.0
"""How long the chain may be without a connection before an outage begins; one connect may take longer."""
BOOT_GAP_SECONDS = 3.0
"""The same for the first connection."""

PREFERRED_CHECKS = 4
"""Checks of a preferred node per `return_seconds`."""

PinBlock = Callable[[Checkpoint | None], Awaitable[Checkpoint | None]]
"""Takes the first block of a node and returns the one that is pinned for the chain. The first call with a block
pins it; None = only read."""

SETTLED_BLOCKS = 1_024
"""Depth at which a block may be pinned: no reorg replaces it any more."""


class FailoverListener:
    """Events of a chain's nodes; each method does nothing unless overridden."""

    def on_head(self, head: Head) -> None:
        """A node announced a head."""

    def on_request(self, profile: NodeProfile) -> None:
        """A request is about to be sent."""

    def on_connected(self, node: Node) -> None:
        """A connection to a node of the right chain is open."""

    def on_active(self, node: Node) -> None:
        """The node is the active one from now on."""

    def on_switched(self, node: Node) -> None:
        """A preferred node took over."""

    def on_failed(self, profile: NodeProfile, error: Exception, cooldown_seconds: float) -> None:
        """The node failed and is in cooldown."""

    def on_unreachable(self, profile: NodeProfile, error: Exception) -> None:
        """A connect to the node failed, for the first time in a row."""

    def on_disconnected(self, node: Node, error: ChainUnavailable | WrongChain) -> None:
        """The active node failed."""

    def on_gap(self, profile: NodeProfile) -> None:
        """The chain has been without a connection for GAP_SECONDS; `profile` is the node that is being tried."""

    def on_unavailable(self, error: Exception) -> None:
        """All nodes are in cooldown."""


class Failover:
    """Connections to a chain's nodes: to the preferred available one, and to the next one after a failure."""

    def __init__(
        self,
        chain: ChainConfig,
        timeouts: NodeTimeouts,
        pin_block: PinBlock,
        listener: FailoverListener,
        wrong_block_hint: str = "",
    ) -> None:
        """Take the nodes of `chain`; `wrong_block_hint` is appended to the error for a wrong first block."""
        self.name = f"chain {chain.chain_id}"
        self.pool = NodePool(chain.urls, chain.requests_per_second)
        for node in self.pool.all:
            # A tag known to have no block is given up at the first answer without one.
            node.unanswered_tags.update(dict.fromkeys(profile_of(chain.chain_id).absent_tags, -NOT_YET_BLOCKS))
        self.last_error: ChainUnavailable | None = None
        """The last error of `connect`."""
        self._chain = chain
        self._timeouts = timeouts
        self._pin_block = pin_block
        self._listener = listener
        self._wrong_block_hint = wrong_block_hint
        self._connected_at = 0.0
        self._trying = self.pool.all[0]

    async def connect(self) -> Node:
        """Return the first node that can be connected to. Raises WrongChain if a node serves another chain.

        Gaps shorter than BOOT_GAP_SECONDS are not reported.
        """
        with self._reporting_gap(BOOT_GAP_SECONDS):
            while True:
                profile = await self._next_profile()
                try:
                    return self._activate(await self._open(profile))
                except ChainUnavailable as error:
                    self.last_error = error
                    self._unreachable(profile, error)
                except WrongChain as error:
                    self._listener.on_failed(profile, error, 0.0)
                    raise

    async def reconnect(self) -> Node:
        """Return the next node that can be connected to, after `lost`; skip nodes of another chain.

        Gaps shorter than GAP_SECONDS are not reported.
        """
        with self._reporting_gap(GAP_SECONDS):
            while True:
                profile = await self._next_profile()
                try:
                    return self._activate(await self._open(profile))
                except (ChainUnavailable, WrongChain) as error:
                    self._unreachable(profile, error)

    async def await_preferred(self, node: Node, checkpoint: Callable[[], int]) -> Node:
        """Wait until a preferred node has recovered, and return it connected.

        Its head is at least the checkpoint.
        """
        while True:
            await asyncio.sleep(self._timeouts.return_seconds / PREFERRED_CHECKS)
            profile = self.pool.preferred_to(node.profile, self._timeouts.return_seconds)
            if profile is None:
                continue
            try:
                return await self._open_as_far_as(profile, checkpoint())
            except (ChainUnavailable, WrongChain) as error:
                self._listener.on_failed(profile, error, self.pool.failed(profile, random.random()))

    async def second_opinion(self, node: Node) -> int | None:
        """Return the block number of another node; None if none responds within `probe_seconds`."""
        for profile in self.pool.others(node.profile):
            try:
                async with asyncio.timeout(self._timeouts.probe_seconds):
                    return await self._block_number(profile)
            except (ChainUnavailable, WrongChain, TimeoutError):
                continue
        return None

    def has_others(self, node: Node) -> bool:
        """Return whether another node is available now."""
        return bool(self.pool.others(node.profile))

    def lost(self, node: Node, error: ChainUnavailable | WrongChain) -> None:
        """Put the failed node into cooldown. If its socket is open and no other node is available, report that."""
        self._listener.on_disconnected(node, error)
        if time.monotonic() - self._connected_at > STEADY_SECONDS:
            self.pool.succeeded(node.profile)
        others = self.has_others(node)
        self._cool_down(node.profile, error)
        if not node.closed and not others:
            self._listener.on_unavailable(error)

    def succeeded(self, node: Node) -> None:
        """Reset the node's count of consecutive failures."""
        self.pool.succeeded(node.profile)

    def switched(self, node: Node) -> None:
        """Record that a preferred node took over."""
        self._connected_at = time.monotonic()
        self._activate(node)
        self._listener.on_switched(node)

    @contextlib.contextmanager
    def _reporting_gap(self, seconds: float) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        gap = loop.call_later(seconds, lambda: self._listener.on_gap(self._trying))
        try:
            yield
        finally:
            gap.cancel()

    async def _next_profile(self) -> NodeProfile:
        """Wait until a node is out of cooldown, and return it."""
        self._trying, seconds = self.pool.next()
        if seconds:
            await asyncio.sleep(seconds)
        return self._trying

    def _unreachable(self, profile: NodeProfile, error: Exception) -> None:
        if profile.failures == 0:
            self._listener.on_unreachable(profile, error)
        self._cool_down(profile, error)
        if self.pool.next()[1] > 0:
            self._listener.on_unavailable(error)

    def _cool_down(self, profile: NodeProfile, error: Exception) -> None:
        wanted = error.retry_after_seconds if isinstance(error, RateLimited) else None
        self._listener.on_failed(profile, error, self.pool.failed(profile, random.random(), wanted))

    def _activate(self, node: Node) -> Node:
        self._listener.on_active(node)
        return node

    async def _block_number(self, profile: NodeProfile) -> int:
        node = await connect(profile, self._timeouts, lambda _: None, lambda: self._listener.on_request(profile))
        try:
            await self._check_identity(node)
            return await node.block_number()
        finally:
            await node.close()

    async def _open_as_far_as(self, profile: NodeProfile, number: int) -> Node:
        node = await self._open(profile)
        if node.newest_head is None or node.newest_head.number < number:
            await node.close()
            raise ChainUnavailable(f"{node.origin}: head is below block {number}")
        return node

    async def _open(self, profile: NodeProfile) -> Node:
        listener = self._listener
        node = await connect(profile, self._timeouts, listener.on_head, lambda: listener.on_request(profile))
        node.check_identity = partial(self._check_identity, node)
        try:
            await self._check_identity(node)
            await node.head()
        except BaseException:
            await node.close()
            raise
        self._connected_at = time.monotonic()
        listener.on_connected(node)
        return node

    async def _check_identity(self, node: Node) -> bool:
        """Check that the node has the configured chain id and the pinned block. Raises WrongChain.

        The pinned block is the first one that a node served. It is block 0, unless the chain has none (those of
        Cosmos begin with block 1) or the node has pruned it. Returns False if the node lacks the pinned block.
        """
        served, first = await node.identity(0)
        if served != self._chain.chain_id:
            raise WrongChain(f"{self.name}: {node.origin} serves chain {served}")
        pinned = await self._pin_block(first)
        if pinned is None:
            first = await self._first_block(node)
            pinned = await self._pin_block(first)
        elif first is None or first.number != pinned.number:
            [first] = await node.points([pinned.number])
        if first is None or pinned is None:
            return False
        if pinned != first:
            block = "genesis" if pinned.number == 0 else f"block {pinned.number}"
            problem = f"has {block} {first.block_hash[:10]}…, expected {pinned.block_hash[:10]}…"
            raise WrongChain(f"{self.name}: {node.origin} {problem}{self._wrong_block_hint}")
        return True

    async def _first_block(self, node: Node) -> Checkpoint | None:
        """Return the first block of a node without block 0: block 1, or its earliest one if that is settled."""
        first, earliest, latest = await node.points([1, "earliest", "latest"])
        if first is not None and first.number == 1:
            return first
        settled = earliest and latest and earliest.number + SETTLED_BLOCKS <= latest.number
        return earliest if settled else None
