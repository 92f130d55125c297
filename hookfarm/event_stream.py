"""Hop 1: the stream `events:<chain_id>`, from the ingestor to the processors.

A SIGKILL on either side loses nothing: publishing is one script (checkpoint compared, events added, checkpoint
set), so is taking back what a reorg orphaned, and an entry stays in the group's pending list until the script
of hop 2 acknowledges it together with the jobs it became. Whoever dies in between leaves entries that another
consumer claims.
"""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import redis

from hookfarm import keys
from hookfarm.lua import Script
from hookfarm.records import Event
from hookfarm.redis_clients import Argument, Exchange, Reply, ResponseError, pack

BLOCK_MILLISECONDS = 500
BATCH_ENTRIES = 500
ABANDONED_MILLISECONDS = 2000
"""An entry pending this long may be claimed. From a live consumer too: acknowledging decides."""
KEPT_BLOCKS = 256
"""Blocks remembered per chain, to find a fork point and to take events back. An event takes 90 bytes."""

_PUBLISH = Script("publish")
_REWIND = Script("rewind")
_DEFLATE_LEVEL = 1


@dataclass(frozen=True)
class Checkpoint:
    """The last block wholly published."""

    number: int
    block_hash: str

    def encode(self) -> str:
        return f"{self.number}:{self.block_hash}"

    @classmethod
    def decode(cls, stored: bytes | str) -> "Checkpoint":
        text = stored if isinstance(stored, str) else stored.decode()
        number, _, block_hash = text.partition(":")
        return cls(int(number), block_hash)


@dataclass(frozen=True)
class Entry:
    """One entry of a stream; `event` is its field as it came (None where the field is missing)."""

    chain_id: int
    entry_id: bytes
    event: bytes | None


async def read_checkpoint(client: "redis.asyncio.Redis", chain_id: int) -> Checkpoint | None:
    stored = await client.get(keys.checkpoint(chain_id))
    return None if stored is None else Checkpoint.decode(stored)


@dataclass(frozen=True, slots=True)
class StreamBlock:
    """A block on its way into the stream. `kept` = its events are remembered, so that they can be taken back."""

    number: int
    block_hash: str
    parent_hash: str
    events: Sequence[Event] = ()
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


async def publish(
    client: "redis.asyncio.Redis", chain_id: int, expected: Checkpoint | None, blocks: Sequence[StreamBlock]
) -> bool:
    """Adds the events of `blocks` (ascending) and moves the checkpoint to the last of them, or does nothing.

    False = the checkpoint is not `expected` (None = none yet): someone else published; read it again.
    """
    table: list[Argument] = []
    added: list[bytes] = []
    for block in blocks:
        entries = [orjson.dumps(event) for event in block.events]
        kept = zlib.compress(b"\n".join(entries), _DEFLATE_LEVEL) if entries and block.kept else b""
        row = f"{block.block_hash} {block.parent_hash} {len(entries)}"
        table += (block.number, row, kept)
        added += entries
    arguments: tuple[Argument, ...] = (
        _encoded(expected),
        blocks[-1].point.encode(),
        KEPT_BLOCKS,
        len(blocks),
        *table,
        *added,
    )
    return bool(await _PUBLISH.call_async(client, _ingestor_keys(chain_id), arguments))


async def rewind(
    client: "redis.asyncio.Redis",
    chain_id: int,
    expected: Checkpoint,
    target: Checkpoint,
    withdrawn: Sequence[bytes] = (),
) -> bool:
    """Moves the checkpoint back to `target`, adds the `withdrawn` events and forgets all blocks above it.

    False as for `publish`.
    """
    arguments: tuple[Argument, ...] = (_encoded(expected), target.encode(), *withdrawn)
    return bool(await _REWIND.call_async(client, _ingestor_keys(chain_id), arguments))


async def known_blocks(
    client: "redis.asyncio.Redis", chain_id: int, numbers: Sequence[int]
) -> list[KnownBlock | None]:
    """Each of these blocks as it was published, while it is remembered."""
    rows = await client.hmget(keys.blocks(chain_id), [str(number) for number in numbers])
    return [None if row is None else _known(number, row) for number, row in zip(numbers, rows, strict=True)]


async def withdrawals(
    client: "redis.asyncio.Redis", chain_id: int, numbers: Sequence[int]
) -> list[list[bytes] | None]:
    """For each of these blocks the entries that take its events back, the last event first.

    None where its events are not remembered, which is also so for a block that had none.
    """
    stored = await client.hmget(keys.block_events(chain_id), [str(number) for number in numbers])
    return [None if blob is None else _withdrawn(blob) for blob in stored]


async def tell_heads(client: "redis.asyncio.Redis", chain_id: int, told: Mapping[str, int | None]) -> None:
    """Tells others of the `safe` and `finalized` block; None = the chain has none that is known."""
    numbers: dict[Any, Any] = {tag: number for tag, number in told.items() if number is not None}
    unknown = [tag for tag, number in told.items() if number is None]
    async with client.pipeline(transaction=True) as pipe:
        if numbers:
            pipe.hset(keys.heads(chain_id), mapping=numbers)
        if unknown:
            pipe.hdel(keys.heads(chain_id), *unknown)
        await pipe.execute()


def _ingestor_keys(chain_id: int) -> tuple[str, ...]:
    table = (keys.blocks(chain_id), keys.block_events(chain_id))
    return (keys.checkpoint(chain_id), keys.events(chain_id), *table, keys.heads(chain_id))


def _encoded(checkpoint: Checkpoint | None) -> str:
    return "" if checkpoint is None else checkpoint.encode()


def _known(number: int, row: Reply) -> KnownBlock:
    block_hash, _, rest = row.decode().partition(" ")
    parent_hash, _, events = rest.partition(" ")
    return KnownBlock(number, block_hash, parent_hash, int(events or 0))


def _withdrawn(blob: Reply) -> list[bytes]:
    entries = zlib.decompress(blob).split(b"\n")
    return [orjson.dumps({**orjson.loads(entry), "removed": True}) for entry in reversed(entries)]


class StreamReader:
    """One consumer of the group, over one connection, for the streams of a changing set of chains."""

    def __init__(self, exchange: Exchange, consumer: str) -> None:
        self._exchange = exchange
        self._consumer = consumer
        self._chains: tuple[int, ...] = ()
        self._claim_from: dict[int, bytes] = {}

    def follow(self, chains: Iterable[int]) -> None:
        """Reads these chains from now on. Makes their groups, from the stream's beginning, where missing."""
        self._chains = tuple(sorted(set(chains)))
        commands = [self._create_group(chain) for chain in self._chains]
        for reply in self._exchange.ask(*commands):
            if isinstance(reply, ResponseError) and not str(reply).startswith("BUSYGROUP"):
                raise reply

    @property
    def chains(self) -> tuple[int, ...]:
        return self._chains

    def ask(self) -> None:
        """Sends the blocking read and, behind it in the same write, the question for the registry's revision.

        Redis answers the second only after the first has been served, so the revision is at least as new as
        the entries.
        """
        streams = [keys.events(chain) for chain in self._chains]
        head: tuple[Argument, ...] = ("XREADGROUP", "GROUP", keys.PROCESSOR_GROUP, self._consumer)
        options = ("COUNT", BATCH_ENTRIES, "BLOCK", BLOCK_MILLISECONDS, "STREAMS")
        read = pack((*head, *options, *streams, *([">"] * len(streams))))
        self._exchange.send(read + pack(("GET", keys.REGISTRY_REVISION)))

    def answer(self) -> tuple[list[Entry], int]:
        """The entries (none after half a second of silence) and the registry's revision."""
        found, revision = self._exchange.receive(), self._exchange.receive()
        if isinstance(found, ResponseError):
            if not str(found).startswith("NOGROUP"):
                raise found
            self.follow(self._chains)
            return [], int(revision or 0)
        return _entries(found), int(revision or 0)

    def own_pending(self) -> list[Entry]:
        """What this consumer's name read and never acknowledged: a predecessor that died."""
        streams = [keys.events(chain) for chain in self._chains]
        head: tuple[Argument, ...] = ("XREADGROUP", "GROUP", keys.PROCESSOR_GROUP, self._consumer)
        options = ("COUNT", BATCH_ENTRIES, "STREAMS")
        [found] = self._exchange.ask((*head, *options, *streams, *(["0"] * len(streams))))
        if isinstance(found, ResponseError):
            raise found
        return _entries(found)

    def abandoned(self) -> list[Entry]:
        """Claims entries that some consumer has left pending; at most one batch per chain and call."""
        commands = [self._claim(chain) for chain in self._chains]
        found: list[Entry] = []
        for chain, reply in zip(self._chains, self._exchange.ask(*commands), strict=True):
            if isinstance(reply, ResponseError):
                if not str(reply).startswith("NOGROUP"):
                    raise reply
                continue
            self._claim_from[chain] = reply[0]
            found += [_entry(chain, raw) for raw in reply[1] if raw[1] is not None]
        return found

    def _create_group(self, chain: int) -> tuple[str, ...]:
        return ("XGROUP", "CREATE", keys.events(chain), keys.PROCESSOR_GROUP, "0", "MKSTREAM")

    def _claim(self, chain: int) -> tuple[Argument, ...]:
        head = ("XAUTOCLAIM", keys.events(chain), keys.PROCESSOR_GROUP, self._consumer)
        return (*head, ABANDONED_MILLISECONDS, self._claim_from.get(chain, b"0-0"), "COUNT", BATCH_ENTRIES)


def _entries(found: Reply) -> list[Entry]:
    return [
        _entry(int(stream.rpartition(b":")[2]), raw)
        for stream, entries in found or []
        for raw in entries
        if raw[1] is not None
    ]


def _entry(chain_id: int, raw: Reply) -> Entry:
    entry_id, flat = raw
    fields = dict(zip(flat[::2], flat[1::2], strict=False))
    return Entry(chain_id, entry_id, fields.get(keys.EVENT_FIELD.encode()))
