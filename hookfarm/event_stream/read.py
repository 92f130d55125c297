"""Read side of the stream: one consumer of the processors' group."""

from collections.abc import Iterable
from typing import NamedTuple

from hookfarm.store import keys
from hookfarm.store.clients import (
    Argument,
    OutOfMemoryError,
    PipelinedConnection,
    Reply,
    ResponseError,
    pack,
    parse_integer,
)

BLOCK_MILLISECONDS = 500
BATCH_ENTRIES = 500
ABANDONED_MILLISECONDS = 2000
"""Pending time after which an entry may be claimed, even from a live consumer: acknowledging decides."""
_OF_ONE_STREAM = ("NOGROUP", "WRONGTYPE", "UNBLOCKED")
"""Errors for a stream that is missing, has lost its group, or is another type of key."""
_EVENT_FIELD = keys.EVENT_FIELD.encode()


class StreamEntry(NamedTuple):
    """An entry of a stream; `event` is the raw value of its field, None if the field is missing."""

    chain_id: int
    entry_id: bytes
    event: bytes | None


class StreamReader:
    """One consumer of the group, on one connection, for the streams of a changing set of chains.

    A stream becomes `unreadable`, with the reason, if its key has a wrong type or its group cannot be created.
    `follow` includes it again once it is repaired. Reads of the other streams continue.
    """

    def __init__(self, connection: PipelinedConnection, consumer: str) -> None:
        self._connection = connection
        self._consumer = consumer
        self._chains: tuple[int, ...] = ()
        self._readable: tuple[int, ...] = ()
        self._claim_from: dict[int, bytes] = {}
        self.unreadable: dict[int, str] = {}

    def follow(self, chains: Iterable[int]) -> None:
        """Read these chains from now on. Create missing groups at the beginning of their streams."""
        self._chains = tuple(sorted(set(chains)))
        self.unreadable = {}
        missing = [chain for chain in self._chains if not self._has_group(chain)]
        self._create_groups([chain for chain in missing if chain not in self.unreadable])
        self._readable = tuple(chain for chain in self._chains if chain not in self.unreadable)

    @property
    def chains(self) -> tuple[int, ...]:
        """All followed chains, including unreadable ones."""
        return self._chains

    @property
    def readable(self) -> tuple[int, ...]:
        """The followed chains whose streams can be read."""
        return self._readable

    def send_read(self) -> None:
        """Send the blocking read and, in the same write, a GET of the registry's revision.

        Redis runs the GET after the read, so the revision is at least as new as the entries.
        """
        self._connection.prefetch(self._read_and_revision("BLOCK", BLOCK_MILLISECONDS), 2)

    def send_read_ahead(self) -> None:
        """Send a read that does not block; Redis executes it while the current entries are processed."""
        self._connection.prefetch(self._read_and_revision(), 2)

    @property
    def is_read_sent(self) -> bool:
        """Whether replies to `send_read` or `send_read_ahead` are pending."""
        return self._connection.has_prefetch

    def receive(self) -> tuple[list[StreamEntry], int]:
        """Return the entries (an empty list after BLOCK_MILLISECONDS) and the registry's revision."""
        found, answered = self._connection.receive_prefetched()
        revision = parse_integer(keys.REGISTRY_REVISION, answered)
        if isinstance(found, ResponseError):
            self._follow_again(found)
            return [], revision
        return _entries(found), revision

    def read_own_pending(self) -> list[StreamEntry]:
        """Return the entries that a dead predecessor with this consumer name left pending."""
        if not self._readable:
            return []
        [found] = self._connection.execute(self._read("0"))
        if isinstance(found, ResponseError):
            self._follow_again(found)
            return []
        return _entries(found)

    def claim_abandoned(self) -> list[StreamEntry]:
        """Claim abandoned entries of other consumers; at most one batch per chain and call."""
        commands = [self._claim(chain) for chain in self._readable]
        found: list[StreamEntry] = []
        errors: list[ResponseError] = []
        for chain, reply in zip(self._readable, self._connection.execute(*commands), strict=True):
            if isinstance(reply, ResponseError):
                errors.append(reply)
                continue
            self._claim_from[chain] = reply[0]
            found += [_entry(chain, raw) for raw in reply[1] if raw[1] is not None]
        if errors:
            self._follow_again(errors[0])
        return found

    def _follow_again(self, error: ResponseError) -> None:
        """Find the readable streams after an error of one of them. Raises any other error.

        Redis returns one stream's error for all streams of the command.
        """
        if not str(error).startswith(_OF_ONE_STREAM):
            raise error
        self.follow(self._chains)

    def _has_group(self, chain: int) -> bool:
        """Return whether the stream has the group; a key of another type is recorded in `unreadable`."""
        key = keys.events(chain)
        kind, groups = self._connection.execute(("TYPE", key), ("XINFO", "GROUPS", key))
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
        for chain, reply in zip(chains, self._connection.execute(*commands), strict=True):
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


def _entries(found: Reply) -> list[StreamEntry]:
    return [
        _entry(int(stream.rpartition(b":")[2]), raw)
        for stream, entries in found or []
        for raw in entries
        if raw[1] is not None
    ]


def _entry(chain_id: int, raw: Reply) -> StreamEntry:
    entry_id, flat = raw
    if len(flat) == 2 and flat[0] == _EVENT_FIELD:
        return StreamEntry(chain_id, entry_id, flat[1])
    fields = dict(zip(flat[::2], flat[1::2], strict=False))
    return StreamEntry(chain_id, entry_id, fields.get(_EVENT_FIELD))
