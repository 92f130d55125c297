"""The stored state of backfills: running, stopped, done; and the progress of a running one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, TypedDict

import redis

from hookfarm import timestamps
from hookfarm.backfill.job_queue import RETENTION_SECONDS
from hookfarm.errors import Conflict
from hookfarm.event_stream import Checkpoint
from hookfarm.store import keys

HEARTBEAT_TIMEOUT_SECONDS = 10.0
"""A backfill without a heartbeat for this long is not running."""
RUNNING: Final = "running"
STOPPED: Final = "stopped"
DONE: Final = "done"
STATES = (RUNNING, STOPPED, DONE)
"""`stopped`: by a signal, or killed; the same command continues it."""

_REPLIES = 5
_BATCH_SIZE = 100


class BackfillStatus(TypedDict):
    """JSON of a backfill."""

    id: str
    endpoint: str
    chain_id: int
    subscription: Annotated[str | None, "null = all of the endpoint's subscriptions to the chain."]
    from_block: int
    to_block: int
    at_block: Annotated[int | None, "The last block with queued matches; null = none yet."]
    state: Literal["running", "stopped", "done"]
    running: bool
    done: bool
    blocks: Annotated[int, "Blocks read, of `total`."]
    total: int
    blocks_per_second: float | None
    remaining_ms: Annotated[int | None, "null = unknown."]
    reason: Annotated[str, "Reason for a lack of progress; empty if it progresses."]
    logs_received: Annotated[int, "Logs received from nodes, matching or not."]
    delivered_new: Annotated[int, "Matches queued by it."]
    already_delivered: Annotated[int, "Matches delivered or queued earlier."]
    queued: Annotated[int, "Jobs in its endpoint's backfill queue."]
    lock_ms: Annotated[int | None, "Time left of its lock on an ordered endpoint; heartbeats extend it."]
    since_heartbeat_ms: int
    started_at: str
    done_at: str | None


@dataclass(frozen=True)
class Backfill:
    """The stored state of a backfill.

    `to_block` is its last block, given or not. `per_second` is the speed in blocks at the last heartbeat, `reason`
    the reason for a lack of progress. `queued` counts the jobs in its endpoint's backfill queue. `lock_ms` is the
    time left of its lock on an ordered endpoint; None = no lock.
    """

    name: str
    endpoint: str
    chain_id: int
    from_block: int
    to_block: int
    subscription: str | None
    position: Checkpoint | None
    blocks: int
    logs_received: int
    delivered_new: int
    already_delivered: int
    started_ms: int
    done_ms: int | None
    since_heartbeat_ms: int
    per_second: float | None = None
    reason: str = ""
    queued: int = 0
    lock_ms: int | None = None

    @property
    def running(self) -> bool:
        return self.state == RUNNING

    @property
    def state(self) -> Literal["running", "stopped", "done"]:
        """One of STATES."""
        if self.done_ms is not None:
            return DONE
        return RUNNING if self.since_heartbeat_ms < HEARTBEAT_TIMEOUT_SECONDS * 1000 else STOPPED

    @property
    def total(self) -> int:
        """The number of blocks to read."""
        return self.to_block - self.from_block + 1

    @property
    def remaining_ms(self) -> int | None:
        """The time left at the current speed; None if unknown."""
        if not self.running or self.reason or not self.per_second:
            return None
        return round(1000 * (self.total - self.blocks) / self.per_second)

    def public(self) -> BackfillStatus:
        """Return the JSON of the backfill."""
        return {
            "id": self.name,
            "endpoint": self.endpoint,
            "chain_id": self.chain_id,
            "subscription": self.subscription,
            "from_block": self.from_block,
            "to_block": self.to_block,
            "at_block": None if self.position is None else self.position.number,
            "state": self.state,
            "running": self.running,
            "done": self.done_ms is not None,
            "blocks": self.blocks,
            "total": self.total,
            "blocks_per_second": self.per_second if self.running else None,
            "remaining_ms": self.remaining_ms,
            "reason": self.reason if self.running else "",
            "logs_received": self.logs_received,
            "delivered_new": self.delivered_new,
            "already_delivered": self.already_delivered,
            "queued": self.queued,
            "lock_ms": self.lock_ms,
            "since_heartbeat_ms": self.since_heartbeat_ms,
            "started_at": timestamps.format_ms(self.started_ms),
            "done_at": None if self.done_ms is None else timestamps.format_ms(self.done_ms),
        }


@dataclass(frozen=True)
class Progress:
    """The progress of a running backfill: `blocks` of `total` are read.

    `delivered_new` matching logs were queued by it, `already_delivered` ones sent or queued earlier. `queued`
    counts the jobs in the endpoint's backfill queue, `logs_received` the logs received from nodes. `reason` is the
    reason for a lack of progress, or empty.
    """

    at_block: int | None
    blocks: int
    total: int
    delivered_new: int
    already_delivered: int
    queued: int
    logs_received: int
    blocks_per_second: float | None
    reason: str = ""

    @property
    def seconds_left(self) -> float | None:
        """The time left at the current speed; None if unknown."""
        if not self.blocks_per_second or self.reason:
            return None
        return (self.total - self.blocks) / self.blocks_per_second


@dataclass(frozen=True)
class BackfillFilter:
    """A filter of backfills; None = any."""

    endpoint: str | None = None
    state: str | None = None

    def matches(self, backfill: Backfill) -> bool:
        return self.endpoint in (None, backfill.endpoint) and self.state in (None, backfill.state)


BackfillCursor = tuple[int, str]
"""Last backfill of a page: its last heartbeat (ms) and name."""


def start(client: redis.Redis, name: str, facts: Mapping[str, str | int]) -> Backfill:
    """Store a backfill before its first block. Jobs queued by an earlier one of this name stay queued."""
    seconds, _ = _time(client)
    key = keys.BACKFILL_STATE + name
    with client.pipeline(transaction=True) as pipe:
        pipe.delete(key)
        for field, value in facts.items():
            pipe.hset(key, field, str(value))
        pipe.hset(key, "started_ms", str(seconds * 1000))
        pipe.expire(key, RETENTION_SECONDS)
        pipe.zadd(keys.BACKFILLS, {name: seconds * 1000})
        pipe.zremrangebyscore(keys.BACKFILLS, "-inf", (seconds - RETENTION_SECONDS) * 1000)
        pipe.execute()
    begun = read(client, name)
    if begun is None:
        raise Conflict(f"the backfill {name} was removed meanwhile")
    return begun


def read(client: redis.Redis, name: str) -> Backfill | None:
    """Return the stored backfill; None if it does not exist."""
    [found] = _read(client, [name])
    return found


def check_unlocked(client: redis.Redis, endpoint: str, name: str) -> None:
    """Raise Conflict if the endpoint is ordered and locked by another backfill."""
    owner = client.get(keys.BACKFILL_LOCK + endpoint)
    if isinstance(owner, bytes) and owner.decode() != name:
        raise locked_by(owner.decode())


def locked_by(owner: str) -> Conflict:
    return Conflict(f"{owner} is running, and this endpoint is ordered: one backfill at a time")


def unfinished(client: redis.Redis) -> list[Backfill]:
    """Return the backfills that are not done, by heartbeat, the newest last."""
    names: Any = client.zrange(keys.BACKFILLS, 0, -1)
    found = _read(client, [name.decode() for name in names])
    return [each for each in found if each is not None and each.done_ms is None]


def page(
    client: redis.Redis, filters: BackfillFilter, after: BackfillCursor | None, limit: int
) -> tuple[list[Backfill], BackfillCursor | None]:
    """Return a page of backfills, the newest heartbeat first, and the cursor of the next page or None."""
    places: Any = client.zrange(keys.BACKFILLS, 0, -1, desc=True, withscores=True)
    behind = [(int(score), name.decode()) for name, score in places]
    behind = [place for place in behind if after is None or place < after]
    found: list[tuple[BackfillCursor, Backfill]] = []
    for start in range(0, len(behind), _BATCH_SIZE):
        part = behind[start : start + _BATCH_SIZE]
        read_ = zip(part, _read(client, [name for _, name in part]), strict=True)
        found += [(place, each) for place, each in read_ if each is not None and filters.matches(each)]
        if len(found) > limit:
            return [each for _, each in found[:limit]], found[limit - 1][0]
    return [each for _, each in found], None


def request_newest(pipe: redis.client.Pipeline | redis.asyncio.client.Pipeline, count: int) -> None:
    """Add a command that reads the names with the newest heartbeats. It has one reply."""
    pipe.zrevrangebyscore(keys.BACKFILLS, "+inf", "-inf", start=0, num=count)


def request(pipe: redis.client.Pipeline | redis.asyncio.client.Pipeline, names: Sequence[str]) -> None:
    """Add the reads of backfills to a transaction; `parse` decodes the replies."""
    pipe.time()
    for name in names:
        endpoint = name.rsplit(":", 4)[0]
        pipe.hgetall(keys.BACKFILL_STATE + name)
        pipe.zscore(keys.BACKFILLS, name)
        pipe.zcard(keys.BACKFILL_QUEUE + endpoint)
        pipe.get(keys.BACKFILL_LOCK + endpoint)
        pipe.pttl(keys.BACKFILL_LOCK + endpoint)


def reply_count(names: Sequence[str]) -> int:
    """Return the number of replies to `request`."""
    return 1 + _REPLIES * len(names)


def parse(names: Sequence[str], replies: Sequence[Any]) -> list[Backfill | None]:
    """Return the backfills in the replies; None for a missing one."""
    seconds, micros = replies[0]
    now_ms = int(seconds) * 1000 + int(micros) // 1000
    parts = [replies[1 + _REPLIES * place : 1 + _REPLIES * (place + 1)] for place in range(len(names))]
    return [_backfill(name, of, now_ms) if of[0] else None for name, of in zip(names, parts, strict=True)]


def _read(client: redis.Redis, names: Sequence[str]) -> list[Backfill | None]:
    with client.pipeline(transaction=True) as pipe:
        request(pipe, names)
        return parse(names, pipe.execute())


def total_queued(client: redis.Redis) -> int:
    """Return the number of jobs in all backfill queues."""
    return client.hlen(keys.BACKFILL_JOBS)


def _time(client: redis.Redis) -> tuple[int, int]:
    seconds, micros = client.time()
    return int(seconds), int(micros)


def _backfill(name: str, replies: Sequence[Any], now_ms: int) -> Backfill:
    stored, heartbeat_ms, queued, owner, lock_ms = replies
    facts = {field.decode(): value.decode() for field, value in stored.items()}
    numbers = {field: int(facts.get(field, 0)) for field in ("blocks", "received", "added", "known", "started_ms")}
    return Backfill(
        name,
        facts["endpoint"],
        int(facts["chain_id"]),
        int(facts["from_block"]),
        int(facts["to_block"]),
        facts["subscription"] or None,
        Checkpoint.decode(facts["at"]) if "at" in facts else None,
        blocks=numbers["blocks"],
        logs_received=numbers["received"],
        delivered_new=numbers["added"],
        already_delivered=numbers["known"],
        started_ms=numbers["started_ms"],
        done_ms=int(facts["done_ms"]) if "done_ms" in facts else None,
        since_heartbeat_ms=max(0, now_ms - int(heartbeat_ms or 0)),
        per_second=float(facts["per_second"]) if facts.get("per_second") else None,
        reason=facts.get("note", ""),
        queued=queued,
        lock_ms=lock_ms if owner == name.encode() else None,
    )
