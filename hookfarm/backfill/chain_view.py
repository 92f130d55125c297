"""State of a chain as published by its ingestor: the checkpoint, and the blocks that a reorg may replace."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import redis

from hookfarm import event_stream
from hookfarm.chain.block import Block, linked
from hookfarm.chain.node import Node
from hookfarm.chain.profiles import DEFAULT_TAG_BLOCKS, profile_of
from hookfarm.chain.prover import Prover
from hookfarm.delivery_queue.enqueue import UnconfirmedJob
from hookfarm.errors import ChainUnavailable
from hookfarm.event_stream import KEPT_BLOCKS, RetryingChainStream, StreamBlock
from hookfarm.store import keys

MAX_BLOCKS = 32
"""Max blocks that RememberedBlocksExtension reads at once."""


@dataclass(frozen=True)
class ChainView:
    """Published state of one chain: its checkpoint, its finality heads, and the progress of live delivery.

    `safe` and `finalized` are None if the nodes do not support the tag, -1 while unknown. All events up to
    `handled` have left the stream for the queue; events of later blocks may still arrive. `tag_blocks` are the
    confirmations that replace an unsupported tag.
    """

    checkpoint: int
    safe: int | None = None
    finalized: int | None = None
    handled: int = -1
    tag_blocks: Mapping[str, int] = field(default_factory=lambda: DEFAULT_TAG_BLOCKS)

    @property
    def settled(self) -> int:
        """The last block that no reorg can replace: final, or deeper than the ingestor rolls back."""
        return max(self._line("finalized"), self.checkpoint - KEPT_BLOCKS)

    def is_past(self, number: int) -> bool:
        """Return whether live delivery is finished with a block, so that its logs need no history."""
        return number <= min(self.settled, self.handled)

    def is_final(self, number: int) -> bool:
        """Return whether a block is final and live delivery is finished with it."""
        return number <= min(self._line("finalized"), self.handled)

    def has_reached(self, waiting: UnconfirmedJob) -> bool:
        """Return whether the chain has reached the block of an unconfirmed job."""
        return self._line(waiting.head) >= waiting.block

    def _line(self, line: str) -> int:
        if line == "safe":
            return self.checkpoint - self.tag_blocks["safe"] if self.safe is None else self.safe
        if line == "finalized":
            return self.checkpoint - self.tag_blocks["finalized"] if self.finalized is None else self.finalized
        return self.checkpoint


async def read_chain_view(client: redis.asyncio.Redis, chain_id: int) -> ChainView | None:
    """Return the published state of a chain; None if it has no checkpoint."""
    checkpoint = await event_stream.read_checkpoint(client, chain_id)
    if checkpoint is None:
        return None
    async with client.pipeline(transaction=True) as pipe:
        pipe.hmget(keys.heads(chain_id), ["safe", "finalized", "no_safe", "no_finalized"])
        pipe.xlen(keys.events(chain_id))
        pipe.hget(keys.confirmed_heads(chain_id), "blocks")
        heads, in_stream, reached = await pipe.execute()
    safe, finalized = (_tagged(stored, none) for stored, none in zip(heads[:2], heads[2:], strict=True))
    handled = checkpoint.number if not in_stream else int(reached or -1)
    return ChainView(checkpoint.number, safe, finalized, handled, profile_of(chain_id).tag_blocks)


def _tagged(stored: bytes | None, has_none: bytes | None) -> int | None:
    return int(stored) if stored is not None else None if has_none else -1


class RememberedBlocksExtension:
    """Extension of the remembered blocks downwards, by blocks from before the ingestor's first one.

    A reorg down to these blocks then finds its fork point, and the rollback withdraws their events. If transfers
    are read, remembered blocks without transfers get them too.
    """

    def __init__(self, stream: RetryingChainStream, prover: Prover) -> None:
        self._stream = stream
        self._prover = prover
        self._complete_from: int | None = None

    async def extend(self, node: Node, first: int) -> None:
        """Extend the remembered blocks down to block `first`, MAX_BLOCKS at a time.

        The lowest remembered block is read again, because the ingestor's first one is stored without its events.
        Raises ChainUnavailable if the node's chain is not the published one.
        """
        while self._complete_from is None or self._complete_from > first:
            lowest = await self._stream.call(event_stream.lowest_remembered)
            if lowest is None or lowest < first:
                return
            from_block = max(first, lowest - MAX_BLOCKS)
            blocks = await self._prover.range(node, from_block, lowest)
            if len(linked(blocks[0].header.parent_hash, blocks)) < len(blocks):
                raise ChainUnavailable(f"{node.origin}: returns inconsistent blocks up to {lowest}")
            if not await self._stream.call(event_stream.extend_remembered_blocks, _stream_blocks(blocks)):
                raise ChainUnavailable(f"{node.origin}: its block {lowest} differs from the published one")
            self._complete_from = from_block

    async def add_transfers(self, blocks: Sequence[Block]) -> None:
        """Add the transfers of these blocks to the remembered ones; other blocks are skipped."""
        await self._stream.call(event_stream.add_transfers, _stream_blocks(blocks))


def _stream_blocks(blocks: Sequence[Block]) -> list[StreamBlock]:
    return [
        StreamBlock(header.number, header.block_hash, header.parent_hash, block.entries)
        for block in blocks
        for header in (block.header,)
    ]
