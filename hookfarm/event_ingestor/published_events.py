"""Published events of blocks whose events are no longer kept, for the rollback of a deep reorg.

1. The stream contains the events that no processor has handled.
2. The histories name the logs that endpoints were sent. Their events are in the jobs: the ledger keeps delivered
   ones as long as the delivery log. A log that awaits finality is stored beside its history.

No endpoint was sent any other event, so nothing has to be withdrawn. The stream is read first: an event that a
processor handles meanwhile has a history afterwards.
"""

import contextlib
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson
import redis

from hookfarm.chain.node import Node
from hookfarm.delivery_queue.job import decode_job
from hookfarm.errors import InvalidInput
from hookfarm.event_stream import RememberedBlock, RetryingChainStream
from hookfarm.matching import payload
from hookfarm.matching.history import REMOVED, History
from hookfarm.matching.notifications import inflate
from hookfarm.records import ChainEvent, parse_chain_event
from hookfarm.store import keys

HISTORY_SECONDS = 86_400
"""Lifetime of a history (store/lua/shared/history.lua), from the handling of the event on."""
READ_ENTRIES = 1_000
READ_LOGS = 200
READ_BLOCKS = 64
_EVENT_FIELD = keys.EVENT_FIELD.encode()
_JOB_TABLES = (keys.JOBS, keys.UNCONFIRMED, keys.BACKFILL_JOBS)

_Position = tuple[int, int]
"""Order in a block: (0, transaction) of a transfer, (1, index) of a log."""
_Events = dict[_Position, ChainEvent]


class LostEvents(NamedTuple):
    """Events that endpoints were sent, or may have been sent, and that cannot be withdrawn.

    `block_hash` is that of the one block; None for several blocks.
    """

    from_block: int
    to_block: int
    block_hash: str | None
    events: int


class ForgottenRange(NamedTuple):
    """Blocks below the remembered ones that a reorg may have replaced, and the number of their published `events`.

    They were published later than `published_at`, in Unix seconds.
    """

    from_block: int
    to_block: int
    events: int
    published_at: int


@dataclass(frozen=True)
class Withdrawal:
    """The entries that withdraw events, the last event first, and those that cannot be withdrawn."""

    entries: list[bytes]
    lost: LostEvents | None = None


@dataclass(frozen=True)
class _SentLog:
    """A log or transfer that endpoints were sent, or will be sent."""

    block_hash: str
    position: str
    history: History

    def ids(self, chain_id: int) -> list[str]:
        """Return the ids of its deliveries."""
        prefix = payload.TRANSFER if self.position.startswith("t") else "log"
        kinds = [prefix + kind.removeprefix("log") for kind in (payload.LOG_EMITTED, payload.LOG_FINALIZED)]
        log = (chain_id, self.block_hash, self.position)
        generation, receivers = self.history.generation, self.history.receivers
        return [payload.notification_id(*log, r.endpoint, kind, generation) for kind in kinds for r in receivers]

    @property
    def notified(self) -> list[str]:
        """The endpoints that expect to be notified of the removal."""
        return [r.endpoint for r in self.history.receivers if r.was_notified and REMOVED in r.notify]


class PublishedEvents:
    """The published events of one chain above the block `above`, where they are still known."""

    def __init__(self, node: Node, stream: RetryingChainStream, above: int) -> None:
        self._node = node
        self._stream = stream
        self._above = above
        self._unhandled: dict[str, _Events] | None = None

    async def withdrawals(self, blocks: Sequence[RememberedBlock]) -> list[Withdrawal]:
        """Return the withdrawal of each block."""
        found = await self._find([block.block_hash for block in blocks])
        return [_withdrawal(block, found[block.block_hash]) for block in blocks]

    async def forgotten(self, blocks: ForgottenRange) -> Withdrawal:
        """Return the withdrawal of the blocks in a forgotten range that are not canonical.

        Their hashes are known only from the stream and the histories. Raises ChainUnavailable.
        """
        within: dict[str, _Events] = {}
        is_lost = _is_history_expired(blocks.published_at)
        hashes = sorted({*await self._read_unhandled(), *await self._stream.call(_scan_histories)})
        for start in range(0, len(hashes), READ_BLOCKS):
            found = await self._find(hashes[start : start + READ_BLOCKS])
            is_lost = is_lost or any(sent.lost for sent in found.values())
            for block_hash, sent in found.items():
                if sent.events and blocks.from_block <= _number(sent.events) <= blocks.to_block:
                    within[block_hash] = sent.events
        canonical = await self._canonical(sorted({_number(events) for events in within.values()}))
        orphaned = [events for block_hash, events in within.items() if block_hash not in canonical]
        entries = [entry for events in sorted(orphaned, key=_number, reverse=True) for entry in _entries(events)]
        left = blocks.events - sum(map(len, within.values()))
        lost = LostEvents(blocks.from_block, blocks.to_block, None, left) if is_lost and left > 0 else None
        return Withdrawal(entries, lost)

    async def _find(self, hashes: Sequence[str]) -> dict[str, "_Sent"]:
        """Return what is known of these blocks, by their hashes."""
        unhandled = await self._read_unhandled()
        histories = await self._stream.call(_read_histories, hashes) if hashes else []
        found = {
            block_hash: _Sent(dict(unhandled.get(block_hash, {})), 0, logs is not None)
            for block_hash, logs in zip(hashes, histories, strict=True)
        }
        logs = [log for of_block in histories for log in of_block or ()]
        logs = [log for log in logs if _place(log.position) not in found[log.block_hash].events]
        for start in range(0, len(logs), READ_LOGS):
            some = logs[start : start + READ_LOGS]
            for log, event in zip(some, await self._stream.call(_read_events, some), strict=True):
                sent = found[log.block_hash]
                if event is not None:
                    sent.events[_place(log.position)] = event
                elif await self._stream.call(_expects_removal, log):
                    sent.lost += 1
        return found

    async def _read_unhandled(self) -> dict[str, _Events]:
        """Return the events in the stream, by block hash; the first call reads them."""
        if self._unhandled is None:
            self._unhandled = await self._stream.call(_read_stream, self._above)
        return self._unhandled

    async def _canonical(self, numbers: Sequence[int]) -> set[str]:
        """Return the hashes of the canonical blocks with these numbers."""
        pieces = [numbers[start : start + READ_BLOCKS] for start in range(0, len(numbers), READ_BLOCKS)]
        return {header.block_hash for piece in pieces for header in await self._node.headers(piece)}


@dataclass
class _Sent:
    """What is known of a block: the events that endpoints were or will be sent, and the number of lost ones."""

    events: _Events
    lost: int
    has_history: bool


def _withdrawal(block: RememberedBlock, sent: _Sent) -> Withdrawal:
    lost = sent.lost
    if not sent.has_history and _is_history_expired(block.published_at):
        lost = block.event_count - len(sent.events)
    entry = LostEvents(block.number, block.number, block.block_hash, lost) if lost else None
    return Withdrawal(_entries(sent.events), entry)


def _is_history_expired(published_at: int) -> bool:
    return published_at + HISTORY_SECONDS < time.time()


def _entries(events: _Events) -> list[bytes]:
    return [orjson.dumps({**event, "removed": True}) for _, event in sorted(events.items(), reverse=True)]


def _number(events: _Events) -> int:
    return next(iter(events.values()))["block_number"]


def _place(position: str) -> _Position:
    return (0, int(position[1:])) if position.startswith("t") else (1, int(position))


async def _read_stream(client: redis.asyncio.Redis, chain_id: int, above: int) -> dict[str, _Events]:
    """Return the events of blocks above `above` that no processor has handled, by block hash."""
    found: dict[str, _Events] = {}
    start = b"-"
    while True:
        entries: Any = await client.xrange(keys.events(chain_id), min=start, count=READ_ENTRIES)
        if not entries:
            break
        start = b"(" + entries[-1][0]
        for _, fields in entries:
            event = _parse(fields.get(_EVENT_FIELD, b""))
            if event is None or event["block_number"] <= above:
                continue
            of_block, place = found.setdefault(event["block_hash"], {}), _place(str(payload.log_position(event)))
            if event.get("removed"):
                of_block.pop(place, None)
            else:
                of_block[place] = event
    return found


async def _scan_histories(client: redis.asyncio.Redis, chain_id: int) -> list[str]:
    """Return the hashes of all blocks with histories."""
    prefix = f"{keys.HISTORY}{chain_id}:"
    return [key.decode().removeprefix(prefix) async for key in client.scan_iter(match=f"{prefix}*", count=1000)]


async def _read_histories(
    client: redis.asyncio.Redis, chain_id: int, hashes: Sequence[str]
) -> list[list[_SentLog] | None]:
    """Return the logs of each block that are on the chain and were sent; None for a block without histories."""
    async with client.pipeline(transaction=False) as pipe:
        for block_hash in hashes:
            pipe.hgetall(f"{keys.HISTORY}{chain_id}:{block_hash}")
        replies: list[dict[bytes, bytes]] = await pipe.execute()
    found = zip(hashes, replies, strict=True)
    return [list(_sent_logs(block_hash, reply)) if reply else None for block_hash, reply in found]


def _sent_logs(block_hash: str, histories: Mapping[bytes, bytes]) -> Iterator[_SentLog]:
    for position, stored in histories.items():
        history = History.decode(stored.decode())
        if history is not None and history.is_on_chain and history.receivers:
            yield _SentLog(block_hash, position.decode(), history)


async def _read_events(
    client: redis.asyncio.Redis, chain_id: int, logs: Sequence[_SentLog]
) -> list[ChainEvent | None]:
    """Return the event of each log, from its jobs or from the logs that await finality; None if all are gone."""
    async with client.pipeline(transaction=False) as pipe:
        for log in logs:
            pipe.hget(f"{keys.UNFINALIZED_LOGS}{chain_id}:{log.block_hash}", log.position)
            for table in _JOB_TABLES:
                pipe.hmget(table, log.ids(chain_id))
        replies: list[Any] = await pipe.execute()
    each = 1 + len(_JOB_TABLES)
    return [
        _stored_event(log, replies[i], [job for jobs in replies[i + 1 : i + each] for job in jobs])
        for log, i in zip(logs, range(0, len(replies), each), strict=True)
    ]


def _stored_event(log: _SentLog, stored: bytes | None, jobs: Iterable[bytes | None]) -> ChainEvent | None:
    if stored is not None:
        with contextlib.suppress(zlib.error, ValueError):  # Damaged; perhaps a job has the event.
            return inflate(stored, log.block_hash)
    for encoded in jobs:
        job = decode_job(encoded)
        event = None if job is None else _parse(job.body, "data")
        if event is not None:
            return event
    return None


def _parse(raw: bytes, field: str | None = None) -> ChainEvent | None:
    """Return the event in JSON, or in a field of it; None for anything else."""
    try:
        record = orjson.loads(raw)
        return parse_chain_event(record if field is None else record[field])
    except (InvalidInput, orjson.JSONDecodeError, KeyError, TypeError):
        return None


async def _expects_removal(client: redis.asyncio.Redis, _chain_id: int, log: _SentLog) -> bool:
    """Return whether an endpoint that still exists was sent the log and expects to be notified of the removal."""
    found = [await client.hexists(keys.ENDPOINTS, endpoint) for endpoint in log.notified]
    return any(found)
