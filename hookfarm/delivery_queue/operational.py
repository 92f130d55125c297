"""Operational webhooks: what happens in hookfarm itself, told to the endpoints that subscribe to it.

A fact is noted by the very script that makes it happen, and only while an endpoint subscribes to such facts
(store/lua/shared/facts.lua). The keeper turns the oldest fact into a delivery for each of those,
in one script that takes the fact away; whoever dies before leaves it for the next. From there on they are
deliveries like all others: signed, retried, in the log.

An endpoint that subscribes to facts is the subject of none, whatever happens to it.
"""

import hashlib
import time
from collections.abc import Mapping
from typing import Any

import orjson
import redis

from hookfarm.delivery_queue.job import ClaimedJob, Job, attempt_json, decode_stored
from hookfarm.records import Subscription, operational
from hookfarm.store import keys
from hookfarm.store.scripts import Script
from hookfarm.timestamps import format_ms

EVERY_SECONDS = 0.5
MOST_AT_ONCE = 100

_NOTE_FACT = Script("note_fact")
_TELL_FACT = Script("tell_fact", "facts", "ledger")


def note_stalled_chain(client: "redis.Redis", chain_id: int, reason: str) -> None:
    """Notes that a chain is not followed any more. To be called once for each time that happens."""
    fact = {"type": operational.CHAIN_STALLED, "at": f"{time.time() * 1e6:.0f}"}
    _NOTE_FACT.call(client, (), (orjson.dumps({**fact, "chain_id": chain_id, "reason": reason}),))


def tell(client: "redis.Redis") -> int:
    """Enqueues what is to be told of the oldest facts; returns how many facts that were."""
    facts: Any = client.lrange(keys.OPERATIONAL_EVENTS, 0, MOST_AT_ONCE - 1)
    if not facts:
        return 0
    wanted = _wanted(client.hgetall(keys.OPERATIONAL_SUBSCRIPTIONS))
    return sum(_tell_one(client, fact, wanted) for fact in facts)


def _wanted(stored: Mapping[Any, Any]) -> dict[str, list[tuple[str, str]]]:
    """Type of a fact -> endpoint and subscription of those who want it, each endpoint once."""
    found: dict[str, list[tuple[str, str]]] = {}
    for endpoint, subscriptions in stored.items():
        by_event = {event: each["id"] for each in orjson.loads(subscriptions)[::-1] for event in each["events"]}
        for event, subscription in by_event.items():
            found.setdefault(event, []).append((endpoint.decode(), subscription))
    return found


def _tell_one(client: "redis.Redis", raw: bytes, wanted: Mapping[str, list[tuple[str, str]]]) -> int:
    fact = orjson.loads(raw)
    told = {**_details(client, fact), **{name: fact[name] for name in fact.keys() - {"type", "at"}}}
    jobs: list[str | bytes] = []
    for endpoint, subscription in wanted.get(fact["type"], ()):
        job = Job(webhook_id(raw, endpoint), endpoint, _body(fact, {**told, "subscription": subscription}))
        jobs += (endpoint, job.id, job.encoded())
    return int(_TELL_FACT.call(client, (), (raw, *jobs)))


def webhook_id(fact: bytes, endpoint: str) -> str:
    """The same for this occurrence and endpoint whoever tells of it, and however often it is tried."""
    return f"msg_{hashlib.sha256(fact + endpoint.encode()).hexdigest()[:40]}"


def _body(fact: Mapping[str, Any], data: Mapping[str, Any]) -> bytes:
    timestamp = format_ms(int(fact["at"]) // 1000)
    return orjson.dumps({"type": fact["type"], "timestamp": timestamp, "data": data})


def sample(subscription: Subscription) -> bytes:
    """The body of something that never happened, for an operational subscription."""
    fact = {"type": subscription.events[0], "at": f"{time.time() * 1e6:.0f}"}
    return _body(fact, {"test": True, "subscription": subscription.id})


def _details(client: "redis.Redis", fact: Mapping[str, Any]) -> dict[str, Any]:
    """What else is known of a delivery that died, unless it was sent again or purged meanwhile."""
    if fact["type"] != operational.DELIVERY_DEAD:
        return {}
    stored = client.hget(keys.JOBS, fact["delivery"])
    job = decode_stored(stored)
    if not isinstance(job, ClaimedJob):
        return {"reason": None, "attempts": None}
    outcomes = job.header.get("outcomes")
    last = attempt_json(outcomes[-1]) if outcomes else None
    return {"reason": job.header.get("reason"), "attempts": job.attempt, "last_attempt": last}
