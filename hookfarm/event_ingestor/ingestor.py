"""The loop of one chain: wait for a head, publish up to it; when the node fails, find another one."""

import asyncio
import contextlib
import random

from hookfarm.chain.block import Head
from hookfarm.chain.node import Node
from hookfarm.chain.rpc import RateLimited
from hookfarm.chain.timing import pause_seconds
from hookfarm.errors import ChainUnavailable, CouldNotBoot
from hookfarm.event_ingestor.condition import Condition
from hookfarm.event_ingestor.connecting import Connector
from hookfarm.event_ingestor.finality_heads import FinalityHeads
from hookfarm.event_ingestor.publisher import Publisher

PATIENCE = 6
"""How often in a row a node may fail to give a block (3 to 6 s) before it is connected to anew."""
PATIENCE_WITH_OTHERS = 2
"""And so often (0.3 s) where another node could be asked instead."""
TOLD_AFTER = 3
"""Failures since the checkpoint last moved (0.3 to 0.7 s), of any node; one more, and the chain is missing."""
RATE_LIMIT_SECONDS = 1.0
"""The rest of a node that refused for its limit and did not say how long."""
TAGS_SECONDS = 1.0
"""How long a boot waits for the safe and the finalized block; without them it goes on."""
MOST_WAIT_SECONDS = 5.0
"""A node that wants to rest longer than this is left: another one may recover before it."""


class Ingestor:
    """Follows one chain until cancelled.

    1. Boot: a node of the right chain, its head, the checkpoint; else CouldNotBoot or WrongChain, with the reason.
    2. Follow: with each head, publish up to it.
    3. When the node fails: connect to the next one, and follow from the checkpoint.
    4. When a preferred node has recovered: go on with that one.
    """

    def __init__(
        self, connector: Connector, publisher: Publisher, condition: Condition, finality_heads: FinalityHeads
    ) -> None:
        self._connector = connector
        self._publisher = publisher
        self._condition = condition
        self._tagged_heads = finality_heads
        self._node: Node | None = None
        self._fruitless = 0
        """Failures since the checkpoint last moved, of whatever node."""

    async def run(self, boot_seconds: float) -> None:
        try:
            node = await self._boot(boot_seconds)
            while True:
                node = self._node = await self._serve(node)
        finally:
            if self._node is not None:
                await self._node.close()

    async def _boot(self, seconds: float) -> Node:
        try:
            async with asyncio.timeout(seconds):
                node = self._node = await self._connector.first_one()
                await self._publisher.boot(node, node.newest_head or await node.head())
                await self._ask_for_tags(node)
        except TimeoutError as error:
            reason = self._condition.reason or f"{self._connector.name}: no answer"
            raise CouldNotBoot(f"{reason} (tried for {seconds:g} s)") from error
        self._condition.booted()
        return node

    async def _ask_for_tags(self, node: Node) -> None:
        """Else they are asked for with blocks, and of those a chain that stands still has none."""
        if self._publisher.checkpoint is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TAGS_SECONDS):
                    await self._tagged_heads.tell_on_the_way(node, self._publisher.checkpoint)

    async def _serve(self, node: Node) -> Node:
        """Follows the chain on this node until it fails or a preferred one is there; the node to go on with."""
        better = asyncio.create_task(self._connector.preferred_one(node, self._reached))
        try:
            await self._follow(node, better)
        except ChainUnavailable as error:
            self._connector.lost(node, error)
        finally:
            await node.close()
            better.cancel()
            await asyncio.wait([better])
            if not better.cancelled():
                self._node = better.result()
        if better.cancelled():
            return await self._connector.next_one()
        self._connector.took_over(better.result())
        return better.result()

    async def _follow(self, node: Node, better: "asyncio.Task[Node]") -> None:
        """Returns once there is a better one."""
        while not better.done():
            head = await node.next_head(lambda: self._connector.second_opinion(node))
            await self._advance(node, head)
            if self._publisher.checkpoint is not None:
                await self._tagged_heads.tell(node, self._publisher.checkpoint.number)

    def _reached(self) -> int:
        return 0 if self._publisher.checkpoint is None else self._publisher.checkpoint.number

    async def _advance(self, node: Node, head: Head) -> None:
        """Publishes up to `head` or a newer one, with pauses and patience where the node does not deliver."""
        failures, reached = 0, self._publisher.checkpoint
        while True:
            try:
                await self._publisher.advance(node, head, self._tagged_heads.tell_on_the_way)
                self._fruitless = 0
                return
            except ChainUnavailable as error:
                if self._publisher.checkpoint != reached:
                    failures, reached, self._fruitless = 0, self._publisher.checkpoint, 0
                failures, self._fruitless = failures + 1, self._fruitless + 1
                pause = _pause_after(error, failures)
                leave = node.closed or self._out_of_patience(node, error, failures, pause)
                if self._fruitless > TOLD_AFTER or (pause >= RATE_LIMIT_SECONDS and not leave):
                    self._condition.wrong("chain", f"{self._connector.name}: {error}")
                if leave:
                    raise
            await asyncio.sleep(pause)
            head = node.newest_head or head

    def _out_of_patience(self, node: Node, error: ChainUnavailable, failures: int, pause: float) -> bool:
        """A node at its limit is left at once where there is another one, and else waited for."""
        others = self._connector.has_others(node)
        if isinstance(error, RateLimited):
            return others or pause > MOST_WAIT_SECONDS
        return failures > (PATIENCE_WITH_OTHERS if others else PATIENCE)


def _pause_after(error: ChainUnavailable, failures: int) -> float:
    pause = pause_seconds(failures - 1, random.random())
    if not isinstance(error, RateLimited):
        return pause
    return max(pause, RATE_LIMIT_SECONDS if error.retry_after_seconds is None else error.retry_after_seconds)
