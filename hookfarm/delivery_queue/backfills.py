"""Where backfills stand: begun, gone on with, done."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import redis

from hookfarm import keys
from hookfarm.delivery_queue.lane import REMEMBERED_SECONDS
from hookfarm.errors import Conflict
from hookfarm.event_stream import Checkpoint

ALIVE_SECONDS = 10.0
"""Without a sign of life for so long a backfill is not running."""


@dataclass(frozen=True)
class Backfill:
    """Where a backfill stands. `to_block` is the block it ends with, whether it was given or not."""

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

    @property
    def running(self) -> bool:
        return self.done_ms is None and self.silent_ms < ALIVE_SECONDS * 1000

    def public(self, waiting: int) -> dict[str, Any]:
        """As programs read it; `waiting` jobs are in its endpoint's lane."""
        return {
            "endpoint": self.endpoint,
            "chain_id": self.chain_id,
            "subscription": self.subscription,
            "from_block": self.from_block,
            "to_block": self.to_block,
            "at_block": None if self.at is None else self.at.number,
            "running": self.running,
            "done": self.done_ms is not None,
            "blocks": self.blocks,
            "events": self.events,
            "added": self.added,
            "known": self.known,
            "waiting": waiting,
        }


def begin(client: "redis.Redis", name: str, facts: Mapping[str, str | int]) -> Backfill:
    """A backfill that stands before its first block, whatever was stored of it. What an earlier one of the same
    name has put into the lane stays there."""
    seconds, _ = _time(client)
    key = keys.BACKFILL + name
    with client.pipeline(transaction=True) as pipe:
        pipe.delete(key)
        for field, value in facts.items():
            pipe.hset(key, field, str(value))
        pipe.hset(key, "started_ms", str(seconds * 1000))
        pipe.expire(key, REMEMBERED_SECONDS)
        pipe.zadd(keys.BACKFILLS, {name: seconds * 1000})
        pipe.execute()
    begun = read(client, name)
    if begun is None:
        raise Conflict(f"the backfill {name} was removed meanwhile")
    return begun


def read(client: "redis.Redis", name: str) -> Backfill | None:
    """None where there is no such backfill."""
    with client.pipeline(transaction=True) as pipe:
        pipe.hgetall(keys.BACKFILL + name)
        pipe.zscore(keys.BACKFILLS, name)
        pipe.time()
        stored, seen_ms, (seconds, _) = pipe.execute()
    return _backfill(name, stored, seen_ms or 0, seconds) if stored else None


def check_free(client: "redis.Redis", endpoint: str, name: str) -> None:
    """Conflict while another backfill holds the endpoint, which has an order."""
    holder = client.get(keys.BACKFILLING + endpoint)
    if isinstance(holder, bytes) and holder.decode() != name:
        raise held_by(holder.decode())


def held_by(holder: str) -> Conflict:
    return Conflict(f"{holder} is under way, and this endpoint gets its events in order: one after the other")


def unfinished(client: "redis.Redis") -> list[tuple[Backfill, int]]:
    """Each that is not done, with how many jobs are in its endpoint's lane; the last to move comes last."""
    names: Any = client.zrange(keys.BACKFILLS, 0, -1)
    found = [read(client, name.decode()) for name in names]
    known = [each for each in found if each is not None and each.done_ms is None]
    return [(each, client.zcard(keys.LANE + each.endpoint)) for each in known]


def in_lanes(client: "redis.Redis") -> int:
    """How many jobs are in all lanes."""
    return client.hlen(keys.LANE_JOBS)


def _time(client: "redis.Redis") -> tuple[int, int]:
    seconds, micros = client.time()
    return int(seconds), int(micros)


def _backfill(name: str, stored: dict[bytes, bytes], seen_ms: float, now_seconds: int) -> Backfill:
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
        silent_ms=max(0, now_seconds * 1000 - int(seen_ms)),
    )
