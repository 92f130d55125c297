"""The last blocks that were published, to find a fork point and to take events back."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import redis

from hookfarm.event_stream.checkpoint import Checkpoint
from hookfarm.store import keys
from hookfarm.store.clients import Reply

KEPT_BLOCKS = 256
"""Blocks remembered per chain. An event takes 90 bytes."""
_DEFLATE_LEVEL = 1


@dataclass(frozen=True, slots=True)
class StreamBlock:
    """A block on its way into the stream, its `events` as JSON. `kept` = they are remembered, so that they can be
    taken back."""

    number: int
    block_hash: str
    parent_hash: str
    events: Sequence[bytes] = ()
    kept: bool = True

    @property
    def point(self) -> Checkpoint:
        return Checkpoint(self.number, self.block_hash)


@dataclass(frozen=True, slots=True)
class KnownBlock:
    """A published block as it is remembered; `parent_hash` is empty for one that an older version published."""

    number: int
    block_hash: str
    parent_hash: str
    event_count: int

    @property
    def point(self) -> Checkpoint:
        return Checkpoint(self.number, self.block_hash)


class CheckpointMoved(Exception):
    """Another ingestor of the chain has published or taken back: what is remembered is of another checkpoint."""


async def known_blocks(
    client: "redis.asyncio.Redis", chain_id: int, numbers: Sequence[int], at: Checkpoint | None = None
) -> list[KnownBlock | None]:
    """Each of these blocks as it was published, while it is remembered.

    CheckpointMoved where `at` is given and is not the checkpoint.
    """
    rows = await _remembered(client, chain_id, keys.blocks(chain_id), numbers, at)
    return [None if row is None else _known(number, row) for number, row in zip(numbers, rows, strict=True)]


async def withdrawals(
    client: "redis.asyncio.Redis", chain_id: int, numbers: Sequence[int], at: Checkpoint | None = None
) -> list[list[bytes] | None]:
    """For each of these blocks the entries that take its events back, the last event first.

    None where its events are not remembered, which is also so for a block that had none. `at` as above.
    """
    stored = await _remembered(client, chain_id, keys.block_events(chain_id), numbers, at)
    return [None if blob is None else _withdrawn(blob) for blob in stored]


async def _remembered(
    client: "redis.asyncio.Redis", chain_id: int, table: str, numbers: Sequence[int], at: Checkpoint | None
) -> list[Any]:
    """Read together with the checkpoint. Whatever that was in between: its ancestors are always the same."""
    async with client.pipeline(transaction=True) as pipe:
        pipe.get(keys.checkpoint(chain_id))
        pipe.hmget(table, [str(number) for number in numbers])
        checkpoint, rows = await pipe.execute()
    if at is not None and checkpoint != at.encode().encode():
        raise CheckpointMoved
    found: list[Any] = rows
    return found


def block_row(block: StreamBlock) -> tuple[int, str, bytes]:
    """A block as it is remembered: its number, its row in the table, and its events, deflated."""
    kept = zlib.compress(b"\n".join(block.events), _DEFLATE_LEVEL) if block.events and block.kept else b""
    return block.number, f"{block.block_hash} {block.parent_hash} {len(block.events)}", kept


def _known(number: int, row: Reply) -> KnownBlock:
    block_hash, _, rest = row.decode().partition(" ")
    parent_hash, _, events = rest.partition(" ")
    return KnownBlock(number, block_hash, parent_hash, int(events or 0))


def _withdrawn(blob: Reply) -> list[bytes]:
    entries = zlib.decompress(blob).split(b"\n")
    return [orjson.dumps({**orjson.loads(entry), "removed": True}) for entry in reversed(entries)]
