"""Getting hold of a node that serves the right chain."""

import asyncio
import random
import time

from hookfarm import keys
from hookfarm.chain.node import Node, connect
from hookfarm.chain.rotation import Rotation
from hookfarm.chain.timing import Limits, pause_seconds
from hookfarm.config import ChainConfig
from hookfarm.errors import ChainUnavailable, WrongChain
from hookfarm.event_ingestor.condition import Condition
from hookfarm.event_ingestor.gauges import Gauges
from hookfarm.event_ingestor.store import Store
from hookfarm.logs import FieldLogger

STEADY_SECONDS = 10.0
"""A connection that lasted this long was a good one: the next failure is a new one, not one more."""

GAP_SECONDS = 1.0
"""So long a connection may be missing before the chain is; an attempt may take longer than that."""


class Connector:
    """Opens the chain's nodes, one at a time, and pauses after each round in which all of them failed."""

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
        self._urls = Rotation(chain.urls)
        self._store = store
        self._condition = condition
        self._gauges = gauges
        self._log = log
        self._since = 0.0

    async def first_one(self) -> Node:
        """The first node that works. WrongChain as soon as one serves another chain."""
        while True:
            try:
                return await self._open(self._urls.url)
            except ChainUnavailable as error:
                self._failed(error)
            await self._pause()

    async def next_one(self) -> Node:
        """After `lost`. A node of another chain is passed over like one that does not answer.

        A node that is back within GAP_SECONDS was never missing.
        """
        missing = asyncio.get_running_loop().call_later(GAP_SECONDS, self._note_gap)
        try:
            while True:
                await self._pause()
                try:
                    return await self._open(self._urls.url)
                except (ChainUnavailable, WrongChain) as error:
                    self._failed(error)
        finally:
            missing.cancel()

    def lost(self, node: Node, error: ChainUnavailable) -> None:
        """The node failed. Where its socket still stands, it is the chain that is missing, as of now."""
        self._log.warning("disconnected", chain=self._chain.chain_id, reason=error)
        if time.monotonic() - self._since > STEADY_SECONDS:
            self._urls.worked()
        self._urls.failed()
        if not node.closed:
            self._condition.wrong("chain", f"{self.name}: {error}")

    def _note_gap(self) -> None:
        if not self._condition.reason:
            self._condition.wrong("chain", f"{self.name}: no node answers")

    def _failed(self, error: Exception) -> None:
        self._urls.failed()
        if not self._urls.untried:
            self._condition.wrong("chain", f"{self.name}: {error}")
        elif self._urls.failed_rounds == 0:
            self._log.warning("node unavailable", chain=self._chain.chain_id, reason=error)

    async def _pause(self) -> None:
        if not self._urls.untried:
            await asyncio.sleep(pause_seconds(self._urls.failed_rounds - 1, random.random()))

    async def _open(self, url: str) -> Node:
        node = await connect(url, self._limits, self._gauges.head, self._gauges.requested)
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
            ours = f"{keys.identity(wanted)} {keys.checkpoint(wanted)} {keys.blocks(wanted)}"
            problem = f"has genesis {genesis[:10]}…, not {pinned[:10]}… as before"
            raise WrongChain(f"{self.name}: {node.origin} {problem}; to accept it delete the keys {ours}")
