"""The publisher of a chain's blocks: moves the checkpoint forward to a head or back to a fork point."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from hookfarm.chain.block import Block, Head, linked
from hookfarm.chain.block_feed import BlockFeed
from hookfarm.chain.node import Node
from hookfarm.chain.prover import Prover
from hookfarm.chain.rpc import Doubtful
from hookfarm.chain.timing import backoff_seconds
from hookfarm.errors import ChainUnavailable
from hookfarm.event_ingestor.published_events import LostEvents, PublishedEvents
from hookfarm.event_ingestor.reorg import (
    ForkPoint,
    check_fork_point,
    find_fork_point,
    incomplete_event,
    next_rollback_step,
)
from hookfarm.event_ingestor.telemetry import Telemetry
from hookfarm.event_stream import (
    EVENTS_SECONDS,
    KEPT_BLOCKS,
    Checkpoint,
    CheckpointMoved,
    DoubtfulBlock,
    ReorgWindow,
    RetryingChainStream,
    StreamBlock,
    accepted_block,
    doubtful_blocks,
    forget_doubtful_blocks,
    publish,
    read_checkpoint,
    record_doubtful_block,
    rollback,
    transfers_wanted,
)
from hookfarm.rates import SlidingRate
from hookfarm.store import keys

if TYPE_CHECKING:
    from hookfarm.tracing.spans import Spans

FAR_BLOCKS = 32
"""A checkpoint more than this behind the head is logged as a catch-up."""
LINE_SECONDS = 10.0
DEFAULT_WINDOW = ReorgWindow()
RATE_SECONDS = 10.0
"""Window of the measured speed; short, because the limits of nodes change."""

OnProgress = Callable[[Node, Checkpoint], Awaitable[None]]
"""Called during a catch-up after each published batch, with the new checkpoint."""


async def noop(_node: Node, _checkpoint: Checkpoint) -> None:
    """Ignore progress; the default OnProgress."""


class Publisher:
    """Publisher of a chain's blocks; holds the checkpoint.

    The checkpoint is None while the head is below `from_block`. After a ChainUnavailable a method may be called
    again, with any node; the blocks published before it remain.
    """

    def __init__(
        self,
        stream: RetryingChainStream,
        prover: Prover,
        telemetry: Telemetry,
        from_block: int | None,
        spans: "Spans | None" = None,
        window: ReorgWindow = DEFAULT_WINDOW,
    ) -> None:
        self.checkpoint: Checkpoint | None = None
        self._chain_id = stream.chain_id
        self._stream = stream
        self._prover = prover
        self._counters = telemetry.counters
        self._outage = telemetry.outage
        self._log = telemetry.log
        self._from_block = from_block
        self._catch_up = CatchUpLog(stream.chain_id, telemetry)
        self._spans = spans
        self._window = window
        self._seen_ns = 0
        """When the next blocks became known: with the head, or during a catch-up with their batch."""
        self._conflicts = 0
        self._doubtful: set[int] = set()
        """Numbers of the stored doubtful blocks that this ingestor or its predecessor has found."""
        prover.find_accepted = lambda number, block_hash: stream.call(accepted_block, number, block_hash)

    async def boot(self, node: Node, head: Head) -> None:
        """Read the stored checkpoint, or store the first one."""
        self._prover.transfers = await self._stream.call(transfers_wanted)
        doubtful = await self._stream.call(doubtful_blocks)
        self._doubtful = {each.block_number for each in doubtful if each.found_by == keys.EVENT_INGESTOR}
        stored = await self._stream.call(read_checkpoint)
        if stored is None:
            await self._start(node, head)
            return
        self._set_checkpoint(stored)
        if self._from_block is not None:
            self._log.info("from_block ignored", chain=self._chain_id, checkpoint=stored.number)

    async def advance(self, node: Node, head: Head, on_progress: OnProgress = noop) -> None:
        """Publish the node's canonical blocks up to `head`. Raises ChainUnavailable."""
        self._seen_ns = time.time_ns()
        at = self.checkpoint or await self._start(node, head, in_session=True)
        if at is not None:
            await self._advance(node, head, on_progress)
        self._outage.recover("chain")

    async def record_doubt(self, error: Doubtful) -> None:
        """Store the block that is not proven, for operators to see and accept."""
        facts = (error.number, error.block_hash, error.logs, str(error))
        await self._stream.call(record_doubtful_block, DoubtfulBlock(*facts, found_by=keys.EVENT_INGESTOR))
        self._doubtful.add(error.number)

    async def _advance(self, node: Node, head: Head, on_progress: OnProgress) -> None:
        if head.block_hash == self._current.block_hash:
            return
        while head.number <= self._current.number and await self._return_to_fork_point(node, head):
            pass  # Repeated if another ingestor moved the checkpoint.
        while self._current.number < head.number:
            async with BlockFeed(node, self._prover, self._current.number + 1, head) as feed:
                on_one_branch = await self._publish_all(node, feed, head, on_progress)
            if not on_one_branch and not await self._return_to_fork_point(node, head):
                await node.check_identity()
                raise ChainUnavailable(f"{node.origin}: contradicts itself about block {self._current.number + 1}")
        self._counters.at_the_tip()

    @property
    def _current(self) -> Checkpoint:
        assert self.checkpoint is not None
        return self.checkpoint

    async def _start(self, node: Node, head: Head, *, in_session: bool = False) -> Checkpoint | None:
        """Store the first checkpoint: the block before `from_block`, or the head, whose logs are not published.

        Starting after the genesis block misses nothing: it contains no transactions. `in_session`: the connect was
        long ago, so the node's identity is checked again.
        """
        number = head.number if self._from_block is None else max(self._from_block - 1, 0)
        if number > head.number:
            return None
        first, parent_hash = await self._first_checkpoint(node, number, head)
        if in_session:
            await node.check_identity()
        if await self._store_first(first, parent_hash):
            self._set_checkpoint(first)
        else:
            stored = await self._stream.call(read_checkpoint)
            self._set_checkpoint(stored or first)
        return self.checkpoint

    async def _first_checkpoint(self, node: Node, number: int, head: Head) -> tuple[Checkpoint, str]:
        """Return the block and its parent's hash; a block that does not exist is known from the next one."""
        try:
            header = await node.header(number)
        except ChainUnavailable:
            if number == head.number:
                raise
            return Checkpoint(number, (await node.header(number + 1)).parent_hash), ""
        return Checkpoint(number, header.block_hash), header.parent_hash

    async def _publish_all(self, node: Node, feed: BlockFeed, head: Head, on_progress: OnProgress) -> bool:
        """Publish the blocks of the feed. Return False if a block does not link to the checkpoint."""
        self._catch_up.update(self._current.number, head.number)
        while blocks := await feed.batch():
            following = linked(self._current.block_hash, blocks)
            newest = max(head.number, node.newest_head.number if node.newest_head else 0)
            if following and not await self._publish(following, newest):
                return True
            self._catch_up.update(self._current.number, head.number)
            if len(following) < len(blocks):
                return False
            if self._current.number < head.number:
                await on_progress(node, self._current)
        return True

    async def _publish(self, blocks: Sequence[Block], head: int) -> bool:
        """Publish blocks. Return False if nothing was published and the state was refreshed instead.

        Reasons: the stored checkpoint differs (it is adopted), or transfers were missing (they are fetched from
        now on). Events are not kept if their window has passed before they are published.
        """
        kept_above, kept_since = head - KEPT_BLOCKS, time.time() - min(EVENTS_SECONDS, self._window.seconds)
        rows = [
            _stream_block(block, block.header.number > kept_above or block.header.timestamp > kept_since)
            for block in blocks
        ]
        complete = all(block.transfers is not None for block in blocks)
        publication = await self._stream.call(
            publish, self._current, rows, with_transfers=complete, window=self._window
        )
        if not publication.published:
            await self._adopt_stored()
            return False
        self._prover.transfers = publication.are_transfers_wanted
        if self._spans is not None:
            self._trace(self._spans, blocks)
        last = blocks[-1].header
        self._set_checkpoint(Checkpoint(last.number, last.block_hash))
        self._counters.published(last, sum(len(block.entries) for block in blocks))
        prover = self._prover
        self._counters.proofs(prover.repaired, prover.beyond_bloom, prover.renumbered, prover.learned)
        await self._settle_doubts(last.number)
        self._log_notices()
        self._outage.recover("chain")
        self._conflicts = 0
        return True

    async def _settle_doubts(self, checkpoint: int) -> None:
        """Forget the doubtful blocks that are published now, and log the accepted ones."""
        passed = {number for number in self._doubtful if number <= checkpoint}
        if passed:
            await self._stream.call(forget_doubtful_blocks, passed)
            self._doubtful -= passed
        for number in sorted(number for number in self._prover.accepted if number <= checkpoint):
            block = self._prover.accepted.pop(number)
            who = {"accepted_by": block.accepted_by, "accepted_at": block.accepted_at}
            self._log.warning("accepted block", chain=self._chain_id, block=number, **who, reason=block.reason)

    def _log_notices(self) -> None:
        """Log what the prover learned about the chain."""
        for text, number in self._prover.notices:
            self._log.warning(text, chain=self._chain_id, block=number)
        self._prover.notices.clear()

    def _trace(self, spans: "Spans", blocks: Sequence[Block]) -> None:
        """Trace the published blocks that have events."""
        for block in blocks:
            header, events = block.header, len(block.entries)
            if events:
                spans.block(self._chain_id, header.number, header.block_hash, events, self._seen_ns)
        self._seen_ns = time.time_ns()

    async def _return_to_fork_point(self, node: Node, head: Head) -> bool:
        """Roll back to the fork point. Return False if the checkpoint is canonical.

        Raises WrongChain if the node serves another chain: nothing is withdrawn.
        """
        try:
            fork = await find_fork_point(node, self._stream, self._current, head)
            if fork is not None:
                await check_fork_point(node, self._stream, fork)
                await self._roll_back(node, fork)
        except CheckpointMoved:
            await self._adopt_stored()
            return True
        except ChainUnavailable:
            await node.check_identity()
            raise
        return fork is not None

    async def _roll_back(self, node: Node, fork: ForkPoint) -> None:
        """Roll back to the fork point, in steps. Raises CheckpointMoved and ChainUnavailable."""
        depth, removed, lost = self._current.number - fork.block.number, 0, list[LostEvents]()
        self._counters.reorg(deep=fork.forgotten is not None)
        published = PublishedEvents(node, self._stream, fork.lowest - 1)
        while self._current.number > fork.block.number:
            step = await next_rollback_step(self._stream, self._current, fork, published)
            incomplete = incomplete_event(self._chain_id, fork.block.number, step.lost)
            if not await self._stream.call(rollback, self._current, step.target, step.withdrawn, incomplete):
                raise CheckpointMoved
            self._set_checkpoint(step.target)
            self._counters.removed(len(step.withdrawn), sum(each.events for each in step.lost))
            removed += len(step.withdrawn)
            lost += step.lost
        self._log_reorg(fork, depth, removed, lost)

    def _log_reorg(self, fork: ForkPoint, depth: int, removed: int, lost: Sequence[LostEvents]) -> None:
        """Log a reorg; `events_not_withdrawn` counts events that endpoints were sent, or may have been sent."""
        deep: dict[str, object] = {}
        if lost:
            deep["events_not_withdrawn"] = sum(each.events for each in lost)
            deep["blocks_not_withdrawn"] = f"{lost[-1].from_block} to {lost[0].to_block}"
        where = {"chain": self._chain_id, "fork_point": fork.block.number}
        self._log.warning("reorg", **where, depth=depth, events_removed=removed, **deep)

    async def _adopt_stored(self) -> None:
        """Continue from the stored checkpoint, which another ingestor or an earlier, unconfirmed try has moved.

        A missing checkpoint (flushed server) is stored again.
        """
        self._conflicts += 1
        if self._conflicts > 1:
            await asyncio.sleep(backoff_seconds(self._conflicts - 2, random.random()))
        self._prover.transfers = await self._stream.call(transfers_wanted)
        stored = await self._stream.call(read_checkpoint)
        if stored is None:
            self._log.warning(
                "checkpoint lost, stored again", chain=self._chain_id, checkpoint=self._current.number
            )
            await self._store_first(self._current)
        else:
            self._set_checkpoint(stored)

    def _set_checkpoint(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self._counters.checkpoint(checkpoint.number)

    async def _store_first(self, checkpoint: Checkpoint, parent_hash: str = "") -> bool:
        """Store the first checkpoint. Return False if one exists already."""
        first = StreamBlock(checkpoint.number, checkpoint.block_hash, parent_hash)
        return (await self._stream.call(publish, None, [first])).published


def _stream_block(block: Block, kept: bool) -> StreamBlock:
    header = block.header
    return StreamBlock(header.number, header.block_hash, header.parent_hash, block.entries, kept)


class CatchUpLog:
    """Logs and counts a catch-up: its start, its end, and progress every LINE_SECONDS."""

    def __init__(self, chain_id: int, telemetry: Telemetry, clock: Callable[[], float] = time.monotonic) -> None:
        self._chain_id = chain_id
        self._counters = telemetry.counters
        self._log = telemetry.log
        self._clock = clock
        self._since: tuple[float, int] | None = None
        self._logged_at = 0.0
        self._rate = SlidingRate(RATE_SECONDS)

    def update(self, checkpoint: int, head: int) -> None:
        now, left = self._clock(), head - checkpoint
        if self._since is None and left > FAR_BLOCKS:
            self._since = (now, checkpoint)
            self._logged_at = now
            self._log.info("catching up", chain=self._chain_id, blocks_left=left)
        if self._since is not None and left > 0:
            self._continue(now, checkpoint, left)
        elif self._since is not None:
            self._finish(now, checkpoint, *self._since)

    def _continue(self, now: float, checkpoint: int, left: int) -> None:
        per_second = self._rate.add(now, checkpoint) or 0.0
        seconds_left = left / per_second if per_second else 0.0
        self._counters.catching_up(per_second, seconds_left)
        if now - self._logged_at >= LINE_SECONDS:
            self._logged_at = now
            self._log.info(
                "catching up",
                chain=self._chain_id,
                blocks_left=left,
                blocks_per_second=round(per_second, 1),
                seconds_left=round(seconds_left),
            )

    def _finish(self, now: float, checkpoint: int, began: float, first: int) -> None:
        self._since = None
        self._rate.clear()
        self._counters.caught_up()
        self._log.info(
            "caught up",
            chain=self._chain_id,
            checkpoint=checkpoint,
            blocks=checkpoint - first,
            seconds=round(now - began, 1),
        )
