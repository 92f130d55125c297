"""The stream, the checkpoint and the chain's identity, tried until Redis has done it.

Trying again is harmless: what a lost answer hides has either happened, and the checkpoint says so, or not.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

import redis

from hookfarm import event_stream
from hookfarm.chain.block import Block, Header
from hookfarm.chain.timing import pause_seconds
from hookfarm.event_ingestor.condition import Condition
from hookfarm.event_stream import KEPT_BLOCKS, Checkpoint, KnownBlock, Publication, StreamBlock
from hookfarm.store import keys

T = TypeVar("T")


class Store:
    """Every method waits for Redis as long as it takes; the condition says meanwhile that it is missing."""

    def __init__(self, client: "redis.asyncio.Redis", chain_id: int, condition: Condition) -> None:
        self._client = client
        self._chain_id = chain_id
        self._condition = condition

    async def checkpoint(self) -> Checkpoint | None:
        return await self._insist(lambda: event_stream.read_checkpoint(self._client, self._chain_id))

    async def known_blocks(self, numbers: Sequence[int], at: Checkpoint) -> list[KnownBlock | None]:
        """CheckpointMoved, here and below, where the checkpoint is not `at` any more."""
        return await self._insist(lambda: event_stream.known_blocks(self._client, self._chain_id, numbers, at))

    async def withdrawals(self, numbers: Sequence[int], at: Checkpoint) -> list[list[bytes] | None]:
        return await self._insist(lambda: event_stream.withdrawals(self._client, self._chain_id, numbers, at))

    async def publish(self, expected: Checkpoint, blocks: Sequence[Block], head: int) -> Publication:
        """REFUSED = the checkpoint is another one, perhaps because the first of two tries did it, or the blocks
        lack transfers that are wanted.

        Events so far behind the `head` that no reorg which is remembered can reach them are not kept.
        """
        kept_above = head - KEPT_BLOCKS
        rows = [_row(block.header, block, block.header.number > kept_above) for block in blocks]
        complete = all(block.transfers is not None for block in blocks)
        return await self._insist(
            lambda: event_stream.publish(self._client, self._chain_id, expected, rows, with_transfers=complete)
        )

    async def transfers_wanted(self) -> bool:
        return await self._insist(lambda: event_stream.transfers_wanted(self._client, self._chain_id))

    async def start_at(self, checkpoint: Checkpoint, parent_hash: str = "") -> bool:
        """Stores the first checkpoint; False = there is one already."""
        first = StreamBlock(checkpoint.number, checkpoint.block_hash, parent_hash)
        made = await self._insist(lambda: event_stream.publish(self._client, self._chain_id, None, [first]))
        return bool(made)

    async def rewind(self, expected: Checkpoint, target: Checkpoint, withdrawn: Sequence[bytes]) -> bool:
        return await self._insist(
            lambda: event_stream.rewind(self._client, self._chain_id, expected, target, withdrawn)
        )

    async def tell_heads(self, told: Mapping[str, Checkpoint | None]) -> None:
        await self._insist(lambda: event_stream.tell_heads(self._client, self._chain_id, told))

    async def pin_genesis(self, genesis_hash: str) -> str:
        """The genesis this chain id belongs to: the one stored at first contact, else this one."""
        key = keys.genesis(self._chain_id)
        await self._insist(lambda: self._client.set(key, genesis_hash, nx=True))
        pinned = await self._insist(lambda: self._client.get(key))
        return pinned.decode() if isinstance(pinned, bytes) else genesis_hash

    async def _insist(self, operation: Callable[[], Awaitable[T]]) -> T:
        failures = 0
        while True:
            try:
                result = await operation()
            except (redis.RedisError, OSError) as error:
                self._condition.wrong("redis", f"Redis: {error}")
                await asyncio.sleep(pause_seconds(failures, random.random()))
                failures += 1
            else:
                self._condition.right("redis")
                return result


def _row(header: Header, block: Block, kept: bool) -> StreamBlock:
    return StreamBlock(header.number, header.block_hash, header.parent_hash, block.entries, kept)
