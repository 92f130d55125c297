"""The chain's nodes, one at a time, the preferred one first; none of another chain than the farm's."""

import asyncio
import random
from collections.abc import Callable

from hookfarm.chain.node import Node, connect
from hookfarm.chain.node_pool import NodePool, NodeProfile
from hookfarm.chain.rpc import RateLimited
from hookfarm.chain.timing import Limits
from hookfarm.config import ChainConfig
from hookfarm.errors import ChainUnavailable, WrongChain
from hookfarm.store import keys


class Source:
    """`genesis` is the one pinned by the farm that watches the chain."""

    def __init__(self, chain: ChainConfig, genesis: str | None, limits: Limits) -> None:
        self._chain = chain
        self._genesis = genesis
        self._limits = limits
        self._pool = NodePool(chain.urls, chain.requests_per_second)

    async def first_one(self) -> Node:
        """ChainUnavailable where no node answers in time, WrongChain as soon as one serves another chain."""
        last: ChainUnavailable | None = None
        try:
            async with asyncio.timeout(self._limits.boot_seconds):
                while True:
                    profile = await self._next_profile()
                    try:
                        return await self._open(profile)
                    except ChainUnavailable as error:
                        last = error
                        self._failed(profile, error)
        except TimeoutError as error:
            reason = last or f"no node answers within {self._limits.boot_seconds:g} s"
            raise ChainUnavailable(f"chain {self._chain.chain_id}: {reason}") from error

    async def next_one(self, tell: Callable[[str], None]) -> Node:
        """After `lost`, however long it takes; `tell` is told what is wrong meanwhile."""
        while True:
            profile = await self._next_profile()
            try:
                return await self._open(profile)
            except (ChainUnavailable, WrongChain) as error:
                tell(str(error))
                self._failed(profile, error)

    def lost(self, node: Node, error: ChainUnavailable) -> None:
        """The node failed: another one is next, or this one after a rest."""
        self._failed(node.profile, error)

    def succeeded(self, node: Node) -> None:
        """It has been of use: its next failure is a new one."""
        self._pool.succeeded(node.profile)

    async def _next_profile(self) -> NodeProfile:
        profile, seconds = self._pool.next()
        if seconds:
            await asyncio.sleep(seconds)
        return profile

    def _failed(self, profile: NodeProfile, error: Exception) -> None:
        wanted = error.retry_after_seconds if isinstance(error, RateLimited) else None
        self._pool.failed(profile, random.random(), wanted)

    async def _open(self, profile: NodeProfile) -> Node:
        node = await connect(profile, self._limits, lambda _: None, lambda: None)
        try:
            await self._check_identity(node)
        except BaseException:
            await node.close()
            raise
        return node

    async def _check_identity(self, node: Node) -> None:
        wanted, served = self._chain.chain_id, await node.chain_id()
        if served != wanted:
            raise WrongChain(f"chain {wanted}: {node.origin} serves chain {served}")
        genesis = (await node.header(0)).block_hash
        if self._genesis not in (None, genesis):
            pinned = f"not {self._genesis[:10]}… as {keys.genesis(wanted)} says" if self._genesis else ""
            raise WrongChain(f"chain {wanted}: {node.origin} has genesis {genesis[:10]}…, {pinned}")
