"""Fail-over between a chain's nodes: connect to the preferred available node, on a failure to the next one."""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from functools import partial
from typing import Any

from hookfarm.chain.block import Head
from hookfarm.chain.head_signal import NOT_YET_BLOCKS
from hookfarm.chain.node import Node, connect
from hookfarm.chain.node_pool import NodePool, NodeProfile
from hookfarm.chain.profiles import profile_of
from hookfarm.chain.rpc import BudgetUsed, Call, RateLimited
from hookfarm.chain.timing import HedgeTiming, NodeTimeouts
from hookfarm.config import ChainConfig
from hookfarm.errors import ChainUnavailable, WrongChain
from hookfarm.event_stream import Checkpoint

STEADY_SECONDS = 10.0
"""A connection that lasted this long resets the node's count of consecutive failures."""

GAP_SECONDS = 1.0
"""How long the chain may be without a connection before an outage begins; one connect may take longer."""
BOOT_GAP_SECONDS = 3.0
"""The same for the first connection."""

MAX_NAP_SECONDS = 1.0
"""While all nodes are unusable: a wall clock may jump, and the turn of a month depends on it."""
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

    def on_hedged(self, profile: NodeProfile) -> None:
        """A request to this slow node is also sent to another one."""

    def on_hedge_won(self, profile: NodeProfile) -> None:
        """The other node answered first."""


class Failover:
    """Connections to a chain's nodes: to the preferred available one, and to the next one after a failure."""

    def __init__(
        self,
        chain: ChainConfig,
        timeouts: NodeTimeouts,
        pin_block: PinBlock,
        listener: FailoverListener,
        wrong_block_hint: str = "",
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """`wrong_block_hint` is appended to the error for a wrong first block; `wall_clock` returns Unix time."""
        self.name = f"chain {chain.chain_id}"
        self.pool = NodePool(chain.urls, chain.requests_per_second, configs=chain.nodes, wall_clock=wall_clock)
        for node in self.pool.all:
            # Tags that never have a block on this chain count as unsupported after one answer without a block.
            node.unanswered_tags.update(dict.fromkeys(profile_of(chain.chain_id).absent_tags, -NOT_YET_BLOCKS))
        self.last_error: ChainUnavailable | None = None
        """The last error of `connect`."""
        self._chain = chain
        self._timeouts = timeouts
        self._pin_block = pin_block
        self.listener = listener
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
                    self.listener.on_failed(profile, error, 0.0)
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
                self._cool_down(profile, error)

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
        self.listener.on_disconnected(node, error)
        if time.monotonic() - self._connected_at > STEADY_SECONDS:
            self.pool.succeeded(node.profile)
        others = self.has_others(node)
        self._cool_down(node.profile, error)
        if not others and (not node.closed or isinstance(error, BudgetUsed)):
            self.listener.on_unavailable(error)

    def succeeded(self, node: Node) -> None:
        """Reset the node's count of consecutive failures."""
        self.pool.succeeded(node.profile)

    def switched(self, node: Node) -> None:
        """Record that a preferred node took over."""
        self._connected_at = time.monotonic()
        self._activate(node)
        self.listener.on_switched(node)

    @contextlib.contextmanager
    def _reporting_gap(self, seconds: float) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        gap = loop.call_later(seconds, lambda: self.listener.on_gap(self._trying))
        try:
            yield
        finally:
            gap.cancel()

    async def _next_profile(self) -> NodeProfile:
        """Wait until a node is usable, and return it."""
        while True:
            self._trying, seconds = self.pool.next()
            if not seconds:
                return self._trying
            await asyncio.sleep(min(seconds, MAX_NAP_SECONDS))

    def _unreachable(self, profile: NodeProfile, error: Exception) -> None:
        if profile.failures == 0:
            self.listener.on_unreachable(profile, error)
        self._cool_down(profile, error)
        if self.pool.next()[1] > 0:
            self.listener.on_unavailable(error)

    def _cool_down(self, profile: NodeProfile, error: Exception) -> None:
        wanted = error.retry_after_seconds if isinstance(error, RateLimited) else None
        rest = profile.budget.rest_seconds()
        cooldown = self.pool.failed(profile, random.random(), None if rest else wanted)
        self.listener.on_failed(profile, error, max(cooldown, rest))

    def _activate(self, node: Node) -> Node:
        self.listener.on_active(node)
        return node

    async def _block_number(self, profile: NodeProfile) -> int:
        node = await connect(profile, self._timeouts, lambda _: None, lambda: self.listener.on_request(profile))
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
        listener = self.listener
        node = await connect(profile, self._timeouts, listener.on_head, lambda: listener.on_request(profile))
        node.check_identity = partial(self._check_identity, node)
        if self._chain.hedge_percent and len(self.pool.all) > 1:
            node.hedge = _Hedge(self, profile, self._chain.hedge_percent)
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

    async def open_other(self, profile: NodeProfile) -> Node:
        """Return a connection, without heads, to the next node after this one. Raises ChainUnavailable."""
        for other in self.pool.others(profile):
            node = None
            try:
                on_request = partial(self.listener.on_request, other)
                node = await connect(other, self._timeouts, lambda _: None, on_request, follow=False)
                await self._check_identity(node)
                return node
            except (ChainUnavailable, WrongChain) as error:
                self._cool_down(other, error)
                if node is not None:
                    await node.close()
        raise ChainUnavailable(f"{self.name}: no other node is available")

    async def _first_block(self, node: Node) -> Checkpoint | None:
        """Return the first block of a node without block 0: block 1, or its earliest one if that is settled."""
        first, earliest, latest = await node.points([1, "earliest", "latest"])
        if first is not None and first.number == 1:
            return first
        settled = earliest and latest and earliest.number + SETTLED_BLOCKS <= latest.number
        return earliest if settled else None


class _Hedge:
    """Sends requests of a slow node also to the next one; the connection to that one is opened when needed."""

    def __init__(self, failover: Failover, profile: NodeProfile, percent: float) -> None:
        self._failover = failover
        self._profile = profile
        self._timing = HedgeTiming(percent)
        self._opening: asyncio.Task[Node] | None = None

    async def first(
        self, own: Coroutine[Any, Any, list[Any]], calls: Sequence[Call], is_right: Callable[[list[Any]], bool]
    ) -> list[Any]:
        task, began = asyncio.create_task(own), time.monotonic()
        try:
            await asyncio.wait([task], timeout=self._timing.slow_after)
            if task.done() or not self._failover.pool.others(self._profile) or not self._timing.take():
                return await task
            self._failover.listener.on_hedged(self._profile)
            other = asyncio.create_task(self._ask_other(calls))
            try:
                await asyncio.wait([task, other], return_when=asyncio.FIRST_COMPLETED)
                if not task.done() or task.exception() is not None:
                    answers = await other
                    if answers is not None and is_right(answers):
                        self._failover.listener.on_hedge_won(self._profile)
                        return answers
                return await task
            finally:
                await _cancel(other)
        finally:
            self._timing.record(time.monotonic() - began)
            await _cancel(task)

    async def close(self) -> None:
        opening, self._opening = self._opening, None
        if opening is not None:
            await _cancel(opening)
            if not opening.cancelled() and opening.exception() is None:
                await opening.result().close()

    async def _ask_other(self, calls: Sequence[Call]) -> list[Any] | None:
        if self._opening is None:
            self._opening = asyncio.create_task(self._failover.open_other(self._profile))
        try:
            node = await asyncio.shield(self._opening)
            return await node.request_all(calls)
        except (ChainUnavailable, WrongChain):
            await self.close()
            return None


async def _cancel(task: "asyncio.Task[Any]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
