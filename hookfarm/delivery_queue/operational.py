"""Operational webhooks: events about hookfarm itself, delivered to the endpoints that subscribe to them.

The script that causes an operational event also records it, but only while an endpoint subscribes to operational
events (store/lua/shared/operational_events.lua). The keeper calls one script for the oldest event. It removes the
event and enqueues a delivery for each subscribed endpoint. If the keeper crashes before the call, its successor
makes it. The deliveries are signed, retried and logged like all others.

Endpoints with operational subscriptions never cause operational events; otherwise two failing ones would loop.
"""

import hashlib
import time
from collections.abc import Mapping
from typing import Any

import orjson

from hookfarm.delivery_queue.job import Job, attempt_json, decode_job
from hookfarm.records import Subscription
from hookfarm.records.operational import CHAIN_STALLED, DELIVERY_DEAD
from hookfarm.store import keys
from hookfarm.store.clients import Client
from hookfarm.store.scripts import Script
from hookfarm.timestamps import format_ms

INTERVAL_SECONDS = 0.5
BATCH_SIZE = 100

_RECORD_EVENT = Script("record_event")
_DELIVER_EVENT = Script("deliver_event")

_Subscribers = Mapping[str, list[tuple[str, str]]]
"""Event type -> (endpoint, subscription) pairs, each endpoint once."""


def record_stalled_chain(client: Client, chain_id: int, reason: str) -> None:
    """Record that a chain has stalled. Call it once per stall."""
    _RECORD_EVENT.call(client, (), (encode_event(CHAIN_STALLED, chain_id=chain_id, reason=reason),))


def encode_event(kind: str, **details: Any) -> bytes:
    """Return an event of now as it is recorded."""
    return orjson.dumps({"type": kind, "at": f"{time.time() * 1e6:.0f}", **details})


def deliver_events(client: Client) -> int:
    """Enqueue the deliveries of the oldest events; return the number of events."""
    events: Any = client.lrange(keys.OPERATIONAL_EVENTS, 0, BATCH_SIZE - 1)
    if not events:
        return 0
    subscribers = _parse_subscribers(client.hgetall(keys.OPERATIONAL_SUBSCRIPTIONS))
    return sum(_deliver(client, event, subscribers) for event in events)


def _parse_subscribers(stored: Mapping[Any, Any]) -> _Subscribers:
    found: dict[str, list[tuple[str, str]]] = {}
    for endpoint, subscriptions in stored.items():
        by_event = {event: each["id"] for each in orjson.loads(subscriptions)[::-1] for event in each["events"]}
        for event, subscription in by_event.items():
            found.setdefault(event, []).append((endpoint.decode(), subscription))
    return found


def _deliver(client: Client, raw: bytes, subscribers: _Subscribers) -> bool:
    """Enqueue the deliveries of an event. Returns False if another farm has done so in the meantime."""
    event = orjson.loads(raw)
    data = {**_details(client, event), **{name: event[name] for name in event.keys() - {"type", "at"}}}
    jobs: list[str | bytes] = []
    for endpoint, subscription in subscribers.get(event["type"], ()):
        job = Job(webhook_id(raw, endpoint), endpoint, _body(event, {**data, "subscription": subscription}))
        jobs += (endpoint, job.id, job.encoded())
    return bool(_DELIVER_EVENT.call(client, (), (raw, *jobs)) == b"enqueued")


def webhook_id(event: bytes, endpoint: str) -> str:
    """Return the id of the event's delivery to an endpoint, a hash of both."""
    return f"msg_{hashlib.sha256(event + endpoint.encode()).hexdigest()[:40]}"


def _body(event: Mapping[str, Any], data: Mapping[str, Any]) -> bytes:
    timestamp = format_ms(int(event["at"]) // 1000)
    return orjson.dumps({"type": event["type"], "timestamp": timestamp, "data": data})


def example_body(subscription: Subscription) -> bytes:
    """Return the body of a sample webhook for an operational subscription."""
    event = {"type": subscription.events[0], "at": f"{time.time() * 1e6:.0f}"}
    return _body(event, {"test": True, "subscription": subscription.id})


def _details(client: Client, event: Mapping[str, Any]) -> dict[str, Any]:
    """Return details of a dead delivery; its reason is null if it was redelivered or purged in the meantime."""
    if event["type"] != DELIVERY_DEAD:
        return {}
    job = decode_job(client.hget(keys.JOBS, event["delivery"]))
    if job is None:
        return {"reason": None, "attempts": None}
    outcomes = job.header.get("outcomes")
    last = attempt_json(outcomes[-1]) if outcomes else None
    return {"reason": job.header.get("reason"), "attempts": job.attempt, "last_attempt": last}
