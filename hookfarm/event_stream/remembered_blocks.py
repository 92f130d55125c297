"""The last published blocks with their events, used to find a fork point and to withdraw events after a reorg.

The newest remembered block is the checkpoint.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import redis

from hookfarm.store import keys
from hookfarm.store.clients import Argument, Reply, UnexpectedValue
from hookfarm.store.scripts import Script


@dataclass(frozen=True)
class Checkpoint:
    """The last block of a chain that was published whole."""

    number: int
    block_hash: str

    def encode(self) -> str:
        return f"{self.number}:{self.block_hash}"

    @classmethod
    def decode(cls, stored: bytes | str) -> "Checkpoint":
        """Parse a stored checkpoint. Raises ValueError."""
        text = stored if isinstance(stored, str) else stored.decode()
        number, _, block_hash = text.partition(":")
        return cls(int(number), block_hash)


async def read_checkpoint(client: redis.asyncio.Redis, chain_id: int) -> Checkpoint | None:
    """Return the checkpoint, None if there is none yet. Raises UnexpectedValue if the key holds another value."""
    key = keys.checkpoint(chain_id)
    return _decode(key, await client.get(key))


def _decode(key: str, stored: bytes | str | None) -> Checkpoint | None:
    try:
        return None if stored is None else Checkpoint.decode(stored)
    except ValueError as error:
        raise UnexpectedValue(f"{key} does not hold NUMBER:HASH, but {stored!r:.80}") from error


async def pin_block(client: redis.asyncio.Redis, chain_id: int, block: Checkpoint | None) -> Checkpoint | None:
    """Return the pinned block of this chain id; the first call with a block pins it.

    Raises UnexpectedValue if the key holds another value.
    """
    key = keys.genesis(chain_id)
    if block is not None:
        await client.set(key, block.encode(), nx=True)
    return _decode(key, await client.get(key)) or block


async def finalized_number(client: redis.asyncio.Redis, chain_id: int) -> int:
    """Return the number of the newest finalized block, -1 if there is none."""
    return int(await client.hget(keys.heads(chain_id), "finalized") or -1)


KEPT_BLOCKS = 256
"""Blocks remembered per chain. An event takes 90 bytes."""
_DEFLATE_LEVEL = 1

_EXTEND = Script("extend_remembered_blocks")
_ADD_TRANSFERS = Script("add_transfers_to_blocks")


@dataclass(frozen=True, slots=True)
class StreamBlock:
    """A block to publish, with its `events` as JSON.

    `kept`: the events are remembered for a later withdrawal.
    """

    number: int
    block_hash: str
    parent_hash: str
    events: Sequence[bytes] = ()
    kept: bool = True

    @property
    def point(self) -> Checkpoint:
        return Checkpoint(self.number, self.block_hash)


@dataclass(frozen=True, slots=True)
class RememberedBlock:
    """A remembered block, without its events."""

    number: int
    block_hash: str
    parent_hash: str
    event_count: int

    @property
    def point(self) -> Checkpoint:
        return Checkpoint(self.number, self.block_hash)


class CheckpointMoved(Exception):
    """Another ingestor of the chain has moved the checkpoint; the remembered blocks belong to its branch."""


async def read_remembered(
    client: redis.asyncio.Redis, chain_id: int, numbers: Sequence[int], at: Checkpoint | None = None
) -> list[RememberedBlock | None]:
    """Return each of these blocks as it was published; None for a block that is not remembered.

    Raises CheckpointMoved if `at` is given and is not the checkpoint.
    """
    rows = await _remembered(client, chain_id, keys.blocks(chain_id), numbers, at)
    return [
        None if row is None else _remembered_block(number, row) for number, row in zip(numbers, rows, strict=True)
    ]


async def removal_entries(
    client: redis.asyncio.Redis, chain_id: int, numbers: Sequence[int], at: Checkpoint | None = None
) -> list[list[bytes] | None]:
    """Return for each of these blocks the entries that withdraw its events, the last event first.

    None for a block without remembered events. `at` as in `read_remembered`.
    """
    stored = await _remembered(client, chain_id, keys.block_events(chain_id), numbers, at)
    return [None if blob is None else _removal_entries(blob) for blob in stored]


async def _remembered(
    client: redis.asyncio.Redis, chain_id: int, table: str, numbers: Sequence[int], at: Checkpoint | None
) -> list[Any]:
    """Return rows of a table of remembered blocks, read in one transaction with the checkpoint.

    The checkpoint determines its ancestors. Raises CheckpointMoved if it is not `at`.
    """
    async with client.pipeline(transaction=True) as pipe:
        pipe.get(keys.checkpoint(chain_id))
        pipe.hmget(table, [str(number) for number in numbers])
        checkpoint, rows = await pipe.execute()
    if at is not None and checkpoint != at.encode().encode():
        raise CheckpointMoved
    found: list[Any] = rows
    return found


def block_row(block: StreamBlock) -> tuple[int, str, bytes]:
    """Return a block as it is stored: its number, its row of the table, and its events, deflated."""
    kept = zlib.compress(b"\n".join(block.events), _DEFLATE_LEVEL) if block.events and block.kept else b""
    return block.number, f"{block.block_hash} {block.parent_hash} {len(block.events)}", kept


async def lowest_remembered(client: redis.asyncio.Redis, chain_id: int) -> int | None:
    """Return the number of the lowest remembered block; None if no block is remembered."""
    numbers = await client.hkeys(keys.blocks(chain_id))
    return min(map(int, numbers), default=None)


async def extend_remembered_blocks(
    client: redis.asyncio.Redis, chain_id: int, blocks: Sequence[StreamBlock]
) -> bool:
    """Remember blocks below the lowest remembered one, which is the last of `blocks`.

    Returns False if that block was published with another hash.
    """
    lowest = blocks[-1]
    arguments: list[Argument] = [lowest.number, lowest.block_hash, KEPT_BLOCKS]
    for block in blocks:
        arguments += block_row(block)
    touched = (keys.checkpoint(chain_id), keys.blocks(chain_id), keys.block_events(chain_id))
    result = await _EXTEND.call_async(client, touched, arguments)
    return bool(result == b"extended")


async def add_transfers(client: redis.asyncio.Redis, chain_id: int, blocks: Sequence[StreamBlock]) -> None:
    """Replace the events of remembered blocks by events with transfers; skip other blocks."""
    arguments = [each for block in blocks for each in block_row(block)]
    touched = (keys.blocks(chain_id), keys.block_events(chain_id))
    await _ADD_TRANSFERS.call_async(client, touched, arguments)


def _remembered_block(number: int, row: Reply) -> RememberedBlock:
    block_hash, _, rest = row.decode().partition(" ")
    parent_hash, _, events = rest.partition(" ")
    return RememberedBlock(number, block_hash, parent_hash, int(events or 0))


def _removal_entries(blob: Reply) -> list[bytes]:
    entries = zlib.decompress(blob).split(b"\n")
    return [orjson.dumps({**orjson.loads(entry), "removed": True}) for entry in reversed(entries)]
