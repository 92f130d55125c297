"""The Redis side of an ingestor: checkpoint, events and the chain's identity, tried until Redis has done it.

Trying again is harmless: what a lost answer hides has either happened, and the checkpoint says so, or not.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import redis

from hookfarm import event_stream, keys
from hookfarm.chain.block import Block
from hookfarm.chain.timing import pause_seconds
from hookfarm.event_ingestor.condition import Condition
from hookfarm.event_stream import Checkpoint

T = TypeVar("T")


class Store:
    """Every method waits for Redis as long as it takes; the condition says meanwhile that it is missing."""

    def __init__(self, client: "redis.asyncio.Redis", chain_id: int, condition: Condition) -> None:
        self._client = client
        self._chain_id = chain_id
        self._condition = condition

    async def checkpoint(self) -> Checkpoint | None:
        return await self._insist(lambda: event_stream.read_checkpoint(self._client, self._chain_id))

    async def known_hash(self, number: int) -> str | None:
        return await self._insist(lambda: event_stream.known_hash(self._client, self._chain_id, number))

    async def publish(self, expected: Checkpoint, blocks: Sequence[Block]) -> bool:
        """False = the checkpoint is another one, perhaps because the first of two tries did it."""
        points = [Checkpoint(block.header.number, block.header.block_hash) for block in blocks]
        events = [event for block in blocks for event in block.events]
        return await self._insist(
            lambda: event_stream.publish(self._client, self._chain_id, expected, points, events)
        )

    async def start_at(self, checkpoint: Checkpoint) -> bool:
        """Stores the first checkpoint; False = there is one already."""
        return await self._insist(
            lambda: event_stream.publish(self._client, self._chain_id, None, [checkpoint], [])
        )

    async def rewind(self, expected: Checkpoint, target: Checkpoint) -> bool:
        return await self._insist(lambda: event_stream.rewind(self._client, self._chain_id, expected, target))

    async def pin_genesis(self, genesis_hash: str) -> str:
        """The genesis this chain id belongs to: the one stored at first contact, else this one."""
        key = keys.identity(self._chain_id)
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
