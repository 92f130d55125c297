"""Hop 1: the stream `events:<chain_id>`, from the ingestor to the processors.

A SIGKILL on either side loses nothing: publishing is one script (checkpoint compared, events added,
checkpoint set), and an entry stays in the group's pending list until the script of hop 2 acknowledges it
together with the jobs it became. Whoever dies in between leaves entries that another consumer claims.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

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
"""Block hashes remembered per chain, to find a fork point."""

_PUBLISH = Script("publish")


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


async def publish(
    client: "redis.asyncio.Redis",
    chain_id: int,
    expected: Checkpoint | None,
    blocks: Sequence[Checkpoint],
    events: Iterable[Event],
) -> bool:
    """Adds the events of `blocks` (ascending) and moves the checkpoint to the last of them, or does nothing.

    False = the checkpoint is not `expected` (None = none yet): someone else published; read it again.
    A first block at or below the expected one rewinds the checkpoint: the remembered hashes above it go.
    """
    added = [orjson.dumps(event) for event in events]
    table = [part for block in blocks for part in (block.number, block.block_hash)]
    old = "" if expected is None else expected.encode()
    touched = (keys.checkpoint(chain_id), keys.blocks(chain_id), keys.events(chain_id))
    arguments = (old, blocks[-1].encode(), KEPT_BLOCKS, len(blocks), *table, *added)
    return bool(await _PUBLISH.call_async(client, touched, arguments))


async def rewind(client: "redis.asyncio.Redis", chain_id: int, expected: Checkpoint, target: Checkpoint) -> bool:
    """Moves the checkpoint back to `target`, an ancestor that the canonical chain still has."""
    return await publish(client, chain_id, expected, [target], [])


async def known_hash(client: "redis.asyncio.Redis", chain_id: int, number: int) -> str | None:
    """The hash under which block `number` was published, while it is remembered."""
    stored = await client.hget(keys.blocks(chain_id), str(number))
    return stored.decode() if isinstance(stored, bytes) else stored


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
