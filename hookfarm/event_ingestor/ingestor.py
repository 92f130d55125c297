"""The loop of one chain: wait for a head, publish up to it; when the node fails, find another one."""

import asyncio
import random

from hookfarm.chain.block import Head
from hookfarm.chain.node import Node
from hookfarm.chain.timing import pause_seconds
from hookfarm.errors import ChainUnavailable, CouldNotBoot
from hookfarm.event_ingestor.condition import Condition
from hookfarm.event_ingestor.connecting import Connector
from hookfarm.event_ingestor.publisher import Publisher

PATIENCE = 6
"""How often in a row a node may fail to give a block (3 to 6 s) before another one is tried."""


class Ingestor:
    """Follows one chain until cancelled.

    1. Boot: a node of the right chain, its head, the checkpoint; else CouldNotBoot or WrongChain, with the reason.
    2. Follow: with each head, publish up to it.
    3. When the node fails: connect again, the next URL first, and follow from the checkpoint.
    """

    def __init__(self, connector: Connector, publisher: Publisher, condition: Condition) -> None:
        self._connector = connector
        self._publisher = publisher
        self._condition = condition
        self._node: Node | None = None

    async def run(self, boot_seconds: float) -> None:
        try:
            node = await self._boot(boot_seconds)
            while True:
                await self._follow_until_it_fails(node)
                node = self._node = await self._connector.next_one()
        finally:
            if self._node is not None:
                await self._node.close()

    async def _boot(self, seconds: float) -> Node:
        try:
            async with asyncio.timeout(seconds):
                node = self._node = await self._connector.first_one()
                await self._publisher.boot(node, node.newest_head or await node.head())
        except TimeoutError as error:
            reason = self._condition.reason or f"{self._connector.name}: no answer"
            raise CouldNotBoot(f"{reason} (tried for {seconds:g} s)") from error
        self._condition.booted()
        return node

    async def _follow_until_it_fails(self, node: Node) -> None:
        try:
            await self._follow(node)
        except ChainUnavailable as error:
            self._connector.lost(node, error)
            await node.close()

    async def _follow(self, node: Node) -> None:
        while True:
            await self._advance(node, await node.next_head())

    async def _advance(self, node: Node, head: Head) -> None:
        """Publishes up to `head` or a newer one, with pauses and PATIENCE where the node does not deliver."""
        failures, reached = 0, self._publisher.checkpoint
        while True:
            try:
                await self._publisher.advance(node, head)
                return
            except ChainUnavailable:
                if self._publisher.checkpoint != reached:
                    failures, reached = 0, self._publisher.checkpoint
                if node.closed or failures == PATIENCE:
                    raise
            await asyncio.sleep(pause_seconds(failures, random.random()))
            failures += 1
            head = node.newest_head or head
