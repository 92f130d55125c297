"""Where backfills stand: begun, gone on with, done."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, TypedDict

import redis

from hookfarm import timestamps
from hookfarm.backfill.job_queue import REMEMBERED_SECONDS
from hookfarm.errors import Conflict
from hookfarm.event_stream import Checkpoint
from hookfarm.store import keys

ALIVE_SECONDS = 10.0
"""Without a sign of life for so long a backfill is not running."""
RUNNING: Final = "running"
STOPPED: Final = "stopped"
DONE: Final = "done"
STATES = (RUNNING, STOPPED, DONE)
"""Stopped: told to, or killed; the same command goes on with it."""

_ASKED = 5
_AT_ONCE = 100


class BackfillStatus(TypedDict):
    """JSON of a backfill."""

    id: str
    endpoint: str
    chain_id: int
    subscription: Annotated[str | None, "null = all subscriptions of the endpoint to the chain."]
    from_block: int
    to_block: int
    at_block: Annotated[int | None, "The last block whose matches are queued; null = none yet."]
    state: Literal["running", "stopped", "done"]
    running: bool
    done: bool
    blocks: Annotated[int, "Blocks read, of `total`."]
    total: int
    blocks_per_second: float | None
    remaining_ms: Annotated[int | None, "null = unknown."]
    note: Annotated[str, "Why it does not advance; empty if it does."]
    events: int
    added: Annotated[int, "Matches queued by it."]
    known: Annotated[int, "Matches delivered or queued before."]
    waiting: Annotated[int, "Jobs in its endpoint's backfill queue."]
    lock_ms: Annotated[int | None, "How long it keeps its ordered endpoint locked without another heartbeat."]
    since_heartbeat_ms: int
    started_at: str
    done_at: str | None


@dataclass(frozen=True)
class Backfill:
    """Where a backfill stands. `to_block` is the block it ends with, whether it was given or not. It goes at
    `per_second` blocks, or `note` says why it does not get on; both are what it last said. `waiting` jobs are in
    its endpoint's lane; `held_ms`: for so long it keeps an endpoint with an order to itself, None = it doesn't.
    """

    name: str
    endpoint: str
    chain_id: int
    from_block: int
    to_block: int
    subscription: str | None
    at: Checkpoint | None
    blocks: int
    events: int
    added: int
    known: int
    started_ms: int
    done_ms: int | None
    silent_ms: int
    per_second: float | None = None
    note: str = ""
    waiting: int = 0
    held_ms: int | None = None

    @property
    def running(self) -> bool:
        return self.state == RUNNING

    @property
    def state(self) -> Literal["running", "stopped", "done"]:
        """One of STATES."""
        if self.done_ms is not None:
            return DONE
        return RUNNING if self.silent_ms < ALIVE_SECONDS * 1000 else STOPPED

    @property
    def total(self) -> int:
        """How many blocks it is about."""
        return self.to_block - self.from_block + 1

    @property
    def remaining_ms(self) -> int | None:
        """None if it is unknown."""
        if not self.running or self.note or not self.per_second:
            return None
        return round(1000 * (self.total - self.blocks) / self.per_second)

    def public(self) -> BackfillStatus:
        """Return its JSON."""
        return {
            "id": self.name,
            "endpoint": self.endpoint,
            "chain_id": self.chain_id,
            "subscription": self.subscription,
            "from_block": self.from_block,
            "to_block": self.to_block,
            "at_block": None if self.at is None else self.at.number,
            "state": self.state,
            "running": self.running,
            "done": self.done_ms is not None,
            "blocks": self.blocks,
            "total": self.total,
            "blocks_per_second": self.per_second if self.running else None,
            "remaining_ms": self.remaining_ms,
            "note": self.note if self.running else "",
            "events": self.events,
            "added": self.added,
            "known": self.known,
            "waiting": self.waiting,
            "lock_ms": self.held_ms,
            "since_heartbeat_ms": self.silent_ms,
            "started_at": timestamps.format_ms(self.started_ms),
            "done_at": None if self.done_ms is None else timestamps.format_ms(self.done_ms),
        }


@dataclass(frozen=True)
class Wanted:
    """Which backfills; None = any."""

    endpoint: str | None = None
    state: str | None = None

    def is_met_by(self, backfill: Backfill) -> bool:
        return self.endpoint in (None, backfill.endpoint) and self.state in (None, backfill.state)


Position = tuple[int, str]
"""Where a list goes on: behind the backfill of this last sign of life (ms) and name."""


def begin(client: "redis.Redis", name: str, facts: Mapping[str, str | int]) -> Backfill:
    """A backfill that stands before its first block, whatever was stored of it. What an earlier one of the same
    name has put into the lane stays there."""
    seconds, _ = _time(client)
    key = keys.BACKFILL_STATE + name
    with client.pipeline(transaction=True) as pipe:
        pipe.delete(key)
        for field, value in facts.items():
            pipe.hset(key, field, str(value))
        pipe.hset(key, "started_ms", str(seconds * 1000))
        pipe.expire(key, REMEMBERED_SECONDS)
        pipe.zadd(keys.BACKFILLS, {name: seconds * 1000})
        pipe.zremrangebyscore(keys.BACKFILLS, "-inf", (seconds - REMEMBERED_SECONDS) * 1000)
        pipe.execute()
    begun = read(client, name)
    if begun is None:
        raise Conflict(f"the backfill {name} was removed meanwhile")
    return begun


def read(client: "redis.Redis", name: str) -> Backfill | None:
    """None where there is no such backfill."""
    [found] = _read(client, [name])
    return found


def check_free(client: "redis.Redis", endpoint: str, name: str) -> None:
    """Conflict while another backfill holds the endpoint, which has an order."""
    holder = client.get(keys.BACKFILL_LOCK + endpoint)
    if isinstance(holder, bytes) and holder.decode() != name:
        raise held_by(holder.decode())


def held_by(holder: str) -> Conflict:
    return Conflict(f"{holder} is under way, and this endpoint gets its events in order: one after the other")


def unfinished(client: "redis.Redis") -> list[Backfill]:
    """Each that is not done; the last to give a sign of life comes last."""
    names: Any = client.zrange(keys.BACKFILLS, 0, -1)
    found = _read(client, [name.decode() for name in names])
    return [each for each in found if each is not None and each.done_ms is None]


def page(
    client: "redis.Redis", wanted: Wanted, after: Position | None, limit: int
) -> tuple[list[Backfill], Position | None]:
    """Those that are wanted, the last to give a sign of life first; and where the next page begins, if there is
    one. Done ones are remembered as long as the others.
    """
    places: Any = client.zrange(keys.BACKFILLS, 0, -1, desc=True, withscores=True)
    behind = [(int(score), name.decode()) for name, score in places]
    behind = [place for place in behind if after is None or place < after]
    found: list[tuple[Position, Backfill]] = []
    for start in range(0, len(behind), _AT_ONCE):
        part = behind[start : start + _AT_ONCE]
        read_ = zip(part, _read(client, [name for _, name in part]), strict=True)
        found += [(place, each) for place, each in read_ if each is not None and wanted.is_met_by(each)]
        if len(found) > limit:
            return [each for _, each in found[:limit]], found[limit - 1][0]
    return [each for _, each in found], None


def ask_newest(pipe: "redis.client.Pipeline | redis.asyncio.client.Pipeline", count: int) -> None:
    """One reply: the names of so many that gave the last signs of life, for `ask`."""
    pipe.zrevrangebyscore(keys.BACKFILLS, "+inf", "-inf", start=0, num=count)


def ask(pipe: "redis.client.Pipeline | redis.asyncio.client.Pipeline", names: Sequence[str]) -> None:
    """Puts the question into a transaction that may ask for more; `answered` reads its replies."""
    pipe.time()
    for name in names:
        endpoint = name.rsplit(":", 4)[0]
        pipe.hgetall(keys.BACKFILL_STATE + name)
        pipe.zscore(keys.BACKFILLS, name)
        pipe.zcard(keys.BACKFILL_QUEUE + endpoint)
        pipe.get(keys.BACKFILL_LOCK + endpoint)
        pipe.pttl(keys.BACKFILL_LOCK + endpoint)


def replies_to(names: Sequence[str]) -> int:
    """How many replies `ask` brings."""
    return 1 + _ASKED * len(names)


def answered(names: Sequence[str], replies: Sequence[Any]) -> list[Backfill | None]:
    """Each, or None where there is no such backfill."""
    seconds, micros = replies[0]
    now_ms = int(seconds) * 1000 + int(micros) // 1000
    told = [replies[1 + _ASKED * place : 1 + _ASKED * (place + 1)] for place in range(len(names))]
    return [_backfill(name, of, now_ms) if of[0] else None for name, of in zip(names, told, strict=True)]


def _read(client: "redis.Redis", names: Sequence[str]) -> list[Backfill | None]:
    with client.pipeline(transaction=True) as pipe:
        ask(pipe, names)
        return answered(names, pipe.execute())


def in_lanes(client: "redis.Redis") -> int:
    """How many jobs are in all lanes."""
    return client.hlen(keys.BACKFILL_JOBS)


def _time(client: "redis.Redis") -> tuple[int, int]:
    seconds, micros = client.time()
    return int(seconds), int(micros)


def _backfill(name: str, replies: Sequence[Any], now_ms: int) -> Backfill:
    stored, seen_ms, waiting, holder, held_ms = replies
    facts = {field.decode(): value.decode() for field, value in stored.items()}
    numbers = {field: int(facts.get(field, 0)) for field in ("blocks", "events", "added", "known", "started_ms")}
    return Backfill(
        name,
        facts["endpoint"],
        int(facts["chain_id"]),
        int(facts["from_block"]),
        int(facts["to_block"]),
        facts["subscription"] or None,
        Checkpoint.decode(facts["at"]) if "at" in facts else None,
        **numbers,
        done_ms=int(facts["done_ms"]) if "done_ms" in facts else None,
        silent_ms=max(0, now_ms - int(seen_ms or 0)),
        per_second=float(facts["per_second"]) if facts.get("per_second") else None,
        note=facts.get("note", ""),
        waiting=waiting,
        held_ms=held_ms if holder == name.encode() else None,
    )
