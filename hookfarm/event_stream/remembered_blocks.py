"""The last published blocks with their events, used to find a fork point and to withdraw events after a reorg.

The newest remembered block is the checkpoint. Events take most of the memory, so they are kept for a shorter time
than blocks; see `ReorgWindow`. The format is in store/lua/shared/remembered_blocks.lua.
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson
import redis

from hookfarm.store import keys
from hookfarm.store.clients import Argument, Reply, UnexpectedValue
from hookfarm.store.scripts import ANCHOR_BLOCKS, MAX_ANCHORS, Script


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
"""Blocks remembered per chain with their events, whatever their age."""
MAX_BLOCKS = 65_536
"""Max blocks remembered per chain: 4.5 hours at four blocks a second."""
EVENTS_SECONDS = 3600
"""Max time for which the events of further blocks are kept."""
_DEFLATE_LEVEL = 1
_ROW = struct.Struct(">32s32sI")
_TIME = struct.Struct(">I")
_ANCHOR = struct.Struct(">Q")
_UNKNOWN_HASH = bytes(32)


@dataclass(frozen=True)
class ReorgWindow:
    """The remembered blocks of a chain, besides the newest KEPT_BLOCKS.

    Blocks are remembered for `seconds`, at most `max_blocks`. Their events are kept for EVENTS_SECONDS, or until
    their block is final, while all events together take at most `events_bytes`.
    """

    seconds: float = 86_400.0
    events_bytes: int = 32_000_000
    max_blocks: int = MAX_BLOCKS

    def encode(self) -> str:
        """Return the window as `forget_old` of the scripts takes it."""
        events_seconds = min(self.seconds, EVENTS_SECONDS)
        return f"{KEPT_BLOCKS} {self.max_blocks} {self.seconds:.0f} {events_seconds:.0f} {self.events_bytes}"


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
    published_at: int = field(default=0, compare=False)
    """Unix seconds."""

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
    client: redis.asyncio.Redis, chain_id: int, table: str, fields: Sequence[int | str], at: Checkpoint | None
) -> list[Any]:
    """Return rows of a table of remembered blocks, read in one transaction with the checkpoint.

    The checkpoint determines its ancestors. Raises CheckpointMoved if it is not `at`.
    """
    async with client.pipeline(transaction=True) as pipe:
        pipe.get(keys.checkpoint(chain_id))
        pipe.hmget(table, [str(field) for field in fields])
        checkpoint, rows = await pipe.execute()
    if at is not None and checkpoint != at.encode().encode():
        raise CheckpointMoved
    found: list[Any] = rows
    return found


def block_row(block: StreamBlock) -> tuple[int, bytes, bytes]:
    """Return a block as scripts store it: its number, its row without the time, and its events, deflated."""
    kept = zlib.compress(b"\n".join(block.events), _DEFLATE_LEVEL) if block.events and block.kept else b""
    hashes = (_hash_bytes(block.block_hash), _hash_bytes(block.parent_hash))
    return block.number, _ROW.pack(*hashes, len(block.events)), kept


def _hash_bytes(block_hash: str) -> bytes:
    return bytes.fromhex(block_hash.removeprefix("0x")) or _UNKNOWN_HASH


async def lowest_remembered(client: redis.asyncio.Redis, chain_id: int) -> int | None:
    """Return the number of the lowest remembered block; None if no block is remembered."""
    state = await client.hget(keys.blocks(chain_id), "state")
    return None if state is None else int(state.split()[0])


class Anchor(NamedTuple):
    """A published block below the remembered ones.

    `events_above` counts the events of the published blocks between it and the lowest remembered block.
    """

    block: RememberedBlock
    events_above: int


class ForgottenBlocks(NamedTuple):
    """The published blocks below the lowest remembered one: their `events`, and `anchors`, the highest first."""

    events: int
    anchors: list[Anchor]


async def read_forgotten(
    client: redis.asyncio.Redis, chain_id: int, lowest: int, at: Checkpoint
) -> ForgottenBlocks:
    """Return what is known of the published blocks below `lowest`. Raises CheckpointMoved."""
    highest = (lowest - 1) // ANCHOR_BLOCKS * ANCHOR_BLOCKS
    numbers = range(highest, max(highest - MAX_ANCHORS * ANCHOR_BLOCKS, -1), -ANCHOR_BLOCKS)
    fields = ("state", *numbers)
    state, *rows = await _remembered(client, chain_id, keys.blocks(chain_id), fields, at)
    found = {number: row for number, row in zip(numbers, rows, strict=True) if row is not None}
    events = 0 if state is None else int(state.split()[3])
    return ForgottenBlocks(events, [_anchor(number, row, events) for number, row in found.items()])


def _anchor(number: int, row: bytes, events: int) -> Anchor:
    (counted,) = _ANCHOR.unpack_from(row, _ROW.size + _TIME.size)
    return Anchor(_remembered_block(number, row), events - counted)


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
    block_hash, parent_hash, events = _ROW.unpack_from(row)
    (published_at,) = _TIME.unpack_from(row, _ROW.size)
    parent = "" if parent_hash == _UNKNOWN_HASH else f"0x{parent_hash.hex()}"
    return RememberedBlock(number, f"0x{block_hash.hex()}", parent, events, published_at)


def _removal_entries(blob: Reply) -> list[bytes]:
    entries = zlib.decompress(blob).split(b"\n")
    return [orjson.dumps({**orjson.loads(entry), "removed": True}) for entry in reversed(entries)]
