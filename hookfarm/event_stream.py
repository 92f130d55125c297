"""Hop 1: the stream `events:<chain_id>`, from the ingestor to the processors.

A SIGKILL on either side loses nothing: publishing is one script (checkpoint compared, events added, checkpoint
set), so is taking back what a reorg orphaned, and an entry stays in the group's pending list until the script
of hop 2 acknowledges it together with the jobs it became. Whoever dies in between leaves entries that another
consumer claims.
"""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple

import orjson
import redis

from hookfarm import keys
from hookfarm.lua import Script
from hookfarm.redis_clients import (
    Argument,
    Exchange,
    ForeignValue,
    OutOfMemoryError,
    Reply,
    ResponseError,
    pack,
    whole_number,
)

BLOCK_MILLISECONDS = 500
BATCH_ENTRIES = 500
ABANDONED_MILLISECONDS = 2000
"""An entry pending this long may be claimed. From a live consumer too: acknowledging decides."""
KEPT_BLOCKS = 256
"""Blocks remembered per chain, to find a fork point and to take events back. An event takes 90 bytes."""
_OF_ONE_STREAM = ("NOGROUP", "WRONGTYPE", "UNBLOCKED")
"""Errors that say that one of the streams read is missing, has lost its group, or is none."""

_EVENT_FIELD = keys.EVENT_FIELD.encode()
_PUBLISH = Script("publish", "types")
_REWIND = Script("rewind", "types")
_TELL_HEADS = Script("tell_heads", "types")
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
        """ValueError where it is no checkpoint."""
        text = stored if isinstance(stored, str) else stored.decode()
        number, _, block_hash = text.partition(":")
        return cls(int(number), block_hash)


class Entry(NamedTuple):
    """One entry of a stream; `event` is its field as it came (None where the field is missing)."""

    chain_id: int
    entry_id: bytes
    event: bytes | None


async def read_checkpoint(client: "redis.asyncio.Redis", chain_id: int) -> Checkpoint | None:
    """None where there is none yet; ForeignValue where somebody else has written there."""
    key = keys.checkpoint(chain_id)
    stored = await client.get(key)
    try:
        return None if stored is None else Checkpoint.decode(stored)
    except ValueError as error:
        raise ForeignValue(f"{key} does not hold NUMBER:HASH, but {stored!r:.80}") from error


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


class Publication(IntEnum):
    """What became of an attempt to publish. Its truth: whether anything was published."""

    REFUSED = 0
    DONE = 1
    DONE_TRANSFERS_WANTED = 2


async def publish(
    client: "redis.asyncio.Redis",
    chain_id: int,
    expected: Checkpoint | None,
    blocks: Sequence[StreamBlock],
    *,
    with_transfers: bool = True,
) -> Publication:
    """Adds the events of `blocks` (ascending) and moves the checkpoint to the last of them, or does nothing.

    REFUSED = the checkpoint is not `expected` (None = none yet): someone else published; read it again. Or the
    blocks are not `with_transfers`, and those are wanted: so a subscription to them holds from the next block on.
    """
    table: list[Argument] = []
    added: list[bytes] = []
    for block in blocks:
        table += block_row(block)
        added += block.events
    points = (_encoded(expected), blocks[-1].point.encode())
    arguments: tuple[Argument, ...] = (*points, KEPT_BLOCKS, int(with_transfers), b"\n".join(added), *table)
    touched = (*_ingestor_keys(chain_id), keys.transfers(chain_id))
    return Publication(await _PUBLISH.call_async(client, touched, arguments))


async def transfers_wanted(client: "redis.asyncio.Redis", chain_id: int) -> bool:
    """Whether anybody wants the chain's transfers."""
    return bool(await client.exists(keys.transfers(chain_id)))


async def rewind(
    client: "redis.asyncio.Redis",
    chain_id: int,
    expected: Checkpoint,
    target: Checkpoint,
    withdrawn: Sequence[bytes] = (),
) -> bool:
    """Moves the checkpoint back to `target`, adds the `withdrawn` events and forgets all blocks above it.

    What waits for confirmations waits for heads of the branch to come. False as for `publish`.
    """
    confirming = (keys.marks(chain_id), keys.reached(chain_id))
    arguments: tuple[Argument, ...] = (_encoded(expected), target.encode(), *withdrawn)
    return bool(await _REWIND.call_async(client, (*_ingestor_keys(chain_id), *confirming), arguments))


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


async def tell_heads(client: "redis.asyncio.Redis", chain_id: int, told: Mapping[str, Checkpoint | None]) -> None:
    """Tells others of the `safe` and `finalized` block; None = the chain knows no such thing.

    A block above the checkpoint, or of another branch than what was published, is not told.
    """
    arguments: list[Argument] = []
    for tag, block in told.items():
        arguments += (tag, "", "") if block is None else (tag, block.number, block.block_hash)
    table = (keys.checkpoint(chain_id), keys.blocks(chain_id), keys.heads(chain_id))
    await _TELL_HEADS.call_async(client, table, arguments)


def block_row(block: StreamBlock) -> tuple[int, str, bytes]:
    """A block as it is remembered: its number, its row in the table, and its events, deflated."""
    kept = zlib.compress(b"\n".join(block.events), _DEFLATE_LEVEL) if block.events and block.kept else b""
    return block.number, f"{block.block_hash} {block.parent_hash} {len(block.events)}", kept


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
    """One consumer of the group, over one connection, for the streams of a changing set of chains.

    A stream that can't be read, because its key is something else or its group can't be made, is set aside with
    the reason (`unreadable`) until `follow` finds it mended; the others are read meanwhile.
    """

    def __init__(self, exchange: Exchange, consumer: str) -> None:
        self._exchange = exchange
        self._consumer = consumer
        self._chains: tuple[int, ...] = ()
        self._readable: tuple[int, ...] = ()
        self._claim_from: dict[int, bytes] = {}
        self.unreadable: dict[int, str] = {}

    def follow(self, chains: Iterable[int]) -> None:
        """Reads these chains from now on. Makes their groups, from the stream's beginning, where missing."""
        self._chains = tuple(sorted(set(chains)))
        self.unreadable = {}
        missing = [chain for chain in self._chains if not self._has_group(chain)]
        self._create_groups([chain for chain in missing if chain not in self.unreadable])
        self._readable = tuple(chain for chain in self._chains if chain not in self.unreadable)

    @property
    def chains(self) -> tuple[int, ...]:
        """All that are followed, those that can't be read included."""
        return self._chains

    @property
    def readable(self) -> tuple[int, ...]:
        """Those that there is anything to `ask` for."""
        return self._readable

    def ask(self) -> None:
        """Sends the blocking read and, behind it in the same write, the question for the registry's revision.

        Redis answers the second only after the first has been served, so the revision is at least as new as
        the entries.
        """
        self._exchange.send_ahead(self._read_and_revision("BLOCK", BLOCK_MILLISECONDS), 2)

    def ask_ahead(self) -> None:
        """As `ask`, without waiting for entries: Redis reads these while others are handled."""
        self._exchange.send_ahead(self._read_and_revision(), 2)

    @property
    def asked(self) -> bool:
        """Whether there is an answer to come, to `ask` or to `ask_ahead`."""
        return self._exchange.awaited

    def answer(self) -> tuple[list[Entry], int]:
        """The entries (none after half a second of silence) and the registry's revision."""
        found, answered = self._exchange.receive_ahead()
        revision = whole_number(keys.REGISTRY_REVISION, answered)
        if isinstance(found, ResponseError):
            self._follow_again(found)
            return [], revision
        return _entries(found), revision

    def own_pending(self) -> list[Entry]:
        """What this consumer's name read and never acknowledged: a predecessor that died."""
        if not self._readable:
            return []
        [found] = self._exchange.ask(self._read("0"))
        if isinstance(found, ResponseError):
            self._follow_again(found)
            return []
        return _entries(found)

    def abandoned(self) -> list[Entry]:
        """Claims entries that some consumer has left pending; at most one batch per chain and call."""
        commands = [self._claim(chain) for chain in self._readable]
        found: list[Entry] = []
        errors: list[ResponseError] = []
        for chain, reply in zip(self._readable, self._exchange.ask(*commands), strict=True):
            if isinstance(reply, ResponseError):
                errors.append(reply)
                continue
            self._claim_from[chain] = reply[0]
            found += [_entry(chain, raw) for raw in reply[1] if raw[1] is not None]
        if errors:
            self._follow_again(errors[0])
        return found

    def _follow_again(self, error: ResponseError) -> None:
        """One stream's error is the answer for all of them: finds out whose it is. Any other error is raised."""
        if not str(error).startswith(_OF_ONE_STREAM):
            raise error
        self.follow(self._chains)

    def _has_group(self, chain: int) -> bool:
        """False also where the key is no stream, which is noted."""
        key = keys.events(chain)
        kind, groups = self._exchange.ask(("TYPE", key), ("XINFO", "GROUPS", key))
        if isinstance(groups, ResponseError):
            if kind not in (b"none", b"stream"):
                self.unreadable[chain] = f"{key} is a {kind.decode()}; it must be a stream"
            elif not str(groups).startswith("no such key"):
                raise groups
            return False
        return any(group[1] == keys.PROCESSOR_GROUP.encode() for group in groups)

    def _create_groups(self, chains: list[int]) -> None:
        commands = [
            ("XGROUP", "CREATE", keys.events(chain), keys.PROCESSOR_GROUP, "0", "MKSTREAM") for chain in chains
        ]
        for chain, reply in zip(chains, self._exchange.ask(*commands), strict=True):
            if isinstance(reply, OutOfMemoryError):
                self.unreadable[chain] = f"{keys.events(chain)} has no group {keys.PROCESSOR_GROUP}: {reply}"
            elif isinstance(reply, ResponseError) and not str(reply).startswith("BUSYGROUP"):
                raise reply

    def _read_and_revision(self, *options: Argument) -> bytes:
        return pack(self._read(">", *options)) + pack(("GET", keys.REGISTRY_REVISION))

    def _read(self, beyond: str, *options: Argument) -> tuple[Argument, ...]:
        streams = [keys.events(chain) for chain in self._readable]
        head = ("XREADGROUP", "GROUP", keys.PROCESSOR_GROUP, self._consumer, "COUNT", BATCH_ENTRIES)
        return (*head, *options, "STREAMS", *streams, *([beyond] * len(streams)))

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
    if len(flat) == 2 and flat[0] == _EVENT_FIELD:
        return Entry(chain_id, entry_id, flat[1])
    fields = dict(zip(flat[::2], flat[1::2], strict=False))
    return Entry(chain_id, entry_id, fields.get(_EVENT_FIELD))
