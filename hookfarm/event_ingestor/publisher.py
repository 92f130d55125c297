"""Moving the checkpoint: forward to a head, back to a fork point, and to its very first place."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from hookfarm.chain.block import Block, Head, linked
from hookfarm.chain.block_feed import BlockFeed
from hookfarm.chain.node import Node
from hookfarm.chain.prover import Prover
from hookfarm.chain.timing import pause_seconds
from hookfarm.errors import ChainUnavailable
from hookfarm.event_ingestor.condition import Condition
from hookfarm.event_ingestor.counters import Gauges
from hookfarm.event_ingestor.progress import Progress
from hookfarm.event_ingestor.reorg import ForkPoint, find_fork_point
from hookfarm.event_ingestor.rollback import next_step
from hookfarm.event_ingestor.store import Store
from hookfarm.event_stream import Checkpoint, CheckpointMoved, Publication
from hookfarm.logs import FieldLogger

if TYPE_CHECKING:
    from hookfarm.tracing.spans import Spans

OnTheWay = Callable[[Node, Checkpoint], Awaitable[None]]
"""Called when a part of what is to be caught up with has been published, up to that checkpoint."""


async def nobody_cares(_node: Node, _checkpoint: Checkpoint) -> None:
    """What is done on the way, where nobody wants to know."""


class Publisher:
    """Knows the checkpoint, as far as this process has seen it; None while `from_block` is still to come.

    ChainUnavailable means: the same again, or from another node. What was published before it stands.
    """

    def __init__(
        self,
        prover: Prover,
        chain_id: int,
        from_block: int | None,
        store: Store,
        condition: Condition,
        gauges: Gauges,
        log: FieldLogger,
        spans: "Spans | None" = None,
    ) -> None:
        self.checkpoint: Checkpoint | None = None
        self._prover = prover
        self._chain_id = chain_id
        self._from_block = from_block
        self._store = store
        self._condition = condition
        self._gauges = gauges
        self._log = log
        self._progress = Progress(chain_id, gauges, log)
        self._spans = spans
        self._seen_ns = 0
        """When what is published next came to be known: the head, or behind a long way the batch."""
        self._conflicts = 0

    async def boot(self, node: Node, head: Head) -> None:
        """Takes up the stored checkpoint, or stores the first one."""
        self._prover.transfers = await self._store.transfers_wanted()
        stored = await self._store.checkpoint()
        if stored is None:
            await self._start(node, head)
            return
        self._move(stored)
        if self._from_block is not None:
            self._log.info("from_block ignored", chain=self._chain_id, checkpoint=stored.number)

    async def advance(self, node: Node, head: Head, on_the_way: OnTheWay = nobody_cares) -> None:
        """Publishes every block up to `head`, on the branch that the node calls canonical."""
        self._seen_ns = time.time_ns()
        at = self.checkpoint or await self._start(node, head)
        if at is not None:
            await self._advance(node, head, on_the_way)
        self._condition.right("chain")

    async def _advance(self, node: Node, head: Head, on_the_way: OnTheWay) -> None:
        if head.header is not None and head.header.block_hash == self._at.block_hash:
            return
        while head.number <= self._at.number and await self._return_to_fork_point(node, head):
            pass  # Once more where somebody else had moved the checkpoint.
        while self._at.number < head.number:
            async with BlockFeed(node, self._prover, self._at.number + 1, head) as feed:
                on_one_branch = await self._publish_all(node, feed, head, on_the_way)
            if not on_one_branch and not await self._return_to_fork_point(node, head):
                raise ChainUnavailable(f"{node.origin}: contradicts itself about block {self._at.number + 1}")
        self._gauges.at_the_tip()

    @property
    def _at(self) -> Checkpoint:
        assert self.checkpoint is not None
        return self.checkpoint

    async def _start(self, node: Node, head: Head) -> Checkpoint | None:
        """The first checkpoint: the block before `from_block`, or the head, whose logs are not emitted.

        The genesis block holds no transactions, so starting behind it misses nothing.
        """
        number = head.number if self._from_block is None else max(self._from_block - 1, 0)
        if number > head.number:
            return None
        known = head.header if number == head.number else None
        header = known or await node.header(number)
        first = Checkpoint(number, header.block_hash)
        if await self._store.start_at(first, header.parent_hash):
            self._move(first)
        else:
            self._move(await self._store.checkpoint() or first)
        return self.checkpoint

    async def _publish_all(self, node: Node, feed: BlockFeed, head: Head, on_the_way: OnTheWay) -> bool:
        """False where a block has another parent than the one before it, which then is the checkpoint."""
        self._progress.at(self._at.number, head.number)
        while blocks := await feed.batch():
            following = linked(self._at.block_hash, blocks)
            newest = max(head.number, node.newest_head.number if node.newest_head else 0)
            if following and not await self._publish(following, newest):
                return True
            self._progress.at(self._at.number, head.number)
            if len(following) < len(blocks):
                return False
            if self._at.number < head.number:
                await on_the_way(node, self._at)
        return True

    async def _publish(self, blocks: Sequence[Block], head: int) -> bool:
        """False where the stored checkpoint was another one, which then is ours, or transfers were missing, which
        then are fetched too."""
        publication = await self._store.publish(self._at, blocks, head)
        if not publication.published:
            await self._adopt_stored()
            return False
        self._prover.transfers = publication == Publication.DONE_TRANSFERS_WANTED
        if self._spans is not None:
            self._trace(self._spans, blocks)
        last = blocks[-1].header
        self._move(Checkpoint(last.number, last.block_hash))
        self._gauges.published(last, sum(len(block.entries) for block in blocks))
        self._gauges.repaired(self._prover.repaired)
        self._condition.right("chain")
        self._conflicts = 0
        return True

    def _trace(self, spans: "Spans", blocks: Sequence[Block]) -> None:
        """Nothing ever follows from a block without events, so that has no trace."""
        for block in blocks:
            header, events = block.header, len(block.entries)
            if events:
                spans.block(self._chain_id, header.number, header.block_hash, events, self._seen_ns)
        self._seen_ns = time.time_ns()

    async def _return_to_fork_point(self, node: Node, head: Head) -> bool:
        """False where the node's chain still holds the checkpoint, or the head below it."""
        try:
            fork = await find_fork_point(node, self._store, self._at, head)
            if fork is not None:
                await self._rewind(fork)
        except CheckpointMoved:
            await self._adopt_stored()
            return True
        return fork is not None

    async def _rewind(self, fork: ForkPoint) -> None:
        """CheckpointMoved where it is not ours any more."""
        depth, removed, forgotten = self._at.number - fork.block.number, 0, 0
        self._gauges.reorg(deep=not fork.remembered)
        while self._at.number > fork.block.number:
            step = await next_step(self._store, self._at, fork.block)
            if not await self._store.rewind(self._at, step.target, step.withdrawn):
                raise CheckpointMoved
            self._move(step.target)
            self._gauges.removed(len(step.withdrawn))
            removed += len(step.withdrawn)
            forgotten += step.forgotten
        self._say_reorg(fork, depth, removed, forgotten)

    def _say_reorg(self, fork: ForkPoint, depth: int, removed: int, forgotten: int) -> None:
        """`events_not_announced` were published, but are too far back to be remembered."""
        deep: dict[str, object] = {}
        if not fork.remembered:
            deep["beyond_memory"] = f"blocks up to {fork.block.number} stand as they were published"
        if forgotten:
            deep["events_not_announced"] = forgotten
        where = {"chain": self._chain_id, "fork_point": fork.block.number}
        self._log.warning("reorg", **where, depth=depth, events_removed=removed, **deep)

    async def _adopt_stored(self) -> None:
        """Somebody else moved the checkpoint, or an earlier try of ours did: go on from where it is.

        Where there is none any more (a flushed server), ours is stored again.
        """
        self._conflicts += 1
        if self._conflicts > 1:
            await asyncio.sleep(pause_seconds(self._conflicts - 2, random.random()))
        self._prover.transfers = await self._store.transfers_wanted()
        stored = await self._store.checkpoint()
        if stored is None:
            self._log.warning("checkpoint lost, stored again", chain=self._chain_id, checkpoint=self._at.number)
            await self._store.start_at(self._at)
        else:
            self._move(stored)

    def _move(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self._gauges.checkpoint(checkpoint.number)
