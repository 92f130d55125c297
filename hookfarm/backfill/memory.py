"""Blocks that a reorg may still take away, and that the ingestor never published: it began to watch the chain
later.

Where transfers are read, the blocks that it published before anybody wanted those get them too.

They are entered into the table of what it remembers, with their events. A reorg that reaches them then has its
fork point there, and takes their events back from those who were told of them, as it does with what was published.
"""

from collections.abc import Sequence

import redis

from hookfarm import event_stream
from hookfarm.chain.block import Block, linked
from hookfarm.chain.node import Node
from hookfarm.chain.prover import Prover
from hookfarm.errors import ChainUnavailable
from hookfarm.event_stream import KEPT_BLOCKS, StreamBlock
from hookfarm.store import keys
from hookfarm.store.clients import Argument
from hookfarm.store.scripts import Script

AT_ONCE = 32

_REMEMBER = Script("extend_remembered_blocks")
_REMEMBER_MORE = Script("add_transfers_to_blocks")


class Memory:
    """One chain's; remembers how far down it has made it whole."""

    def __init__(self, client: "redis.asyncio.Redis", chain_id: int, prover: Prover) -> None:
        self._client = client
        self._chain_id = chain_id
        self._prover = prover
        self._whole_from: int | None = None

    async def extend(self, node: Node, first: int) -> None:
        """Until the table reaches down to block `first`, some blocks at a time, each on the one below it.

        The lowest block is read again: the one with which the ingestor began is there without its events.
        ChainUnavailable where the node's chain is not the one that was published.
        """
        while self._whole_from is None or self._whole_from > first:
            lowest = await _lowest(self._client, self._chain_id)
            if lowest is None or lowest < first:
                return
            blocks = await self._prover.range(node, max(first, lowest - AT_ONCE), lowest)
            if len(linked(blocks[0].header.parent_hash, blocks)) < len(blocks):
                raise ChainUnavailable(f"{node.origin}: contradicts itself about block {lowest}")
            if not await _remember(self._client, self._chain_id, blocks):
                raise ChainUnavailable(f"{node.origin}: does not have block {lowest} as it was published")
            self._whole_from = blocks[0].header.number

    async def complete(self, blocks: Sequence[Block]) -> None:
        """What the ingestor remembers of these blocks has their transfers too; those of another branch, or that it
        has forgotten, stay as they are."""
        arguments = [each for block in blocks for each in _row(block)]
        touched = (keys.blocks(self._chain_id), keys.block_events(self._chain_id))
        await _REMEMBER_MORE.call_async(self._client, touched, arguments)


async def _lowest(client: "redis.asyncio.Redis", chain_id: int) -> int | None:
    numbers = await client.hkeys(keys.blocks(chain_id))
    return min(map(int, numbers), default=None)


async def _remember(client: "redis.asyncio.Redis", chain_id: int, blocks: Sequence[Block]) -> bool:
    """The last of the blocks is the lowest that is remembered, the others go below it."""
    known = blocks[-1].header
    arguments: list[Argument] = [known.number, known.block_hash, KEPT_BLOCKS]
    for block in blocks:
        arguments += _row(block)
    touched = (keys.checkpoint(chain_id), keys.blocks(chain_id), keys.block_events(chain_id))
    result = await _REMEMBER.call_async(client, touched, arguments)
    return bool(result == b"extended")


def _row(block: Block) -> tuple[int, str, bytes]:
    header = block.header
    return event_stream.block_row(StreamBlock(header.number, header.block_hash, header.parent_hash, block.entries))
