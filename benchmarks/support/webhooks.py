"""Webhooks like those of real ERC-20 transfers, and their enqueueing."""

import hashlib
import random
import time
from collections.abc import Sequence

import orjson
import redis

from hookfarm import delivery_queue
from hookfarm.delivery_queue import EntryResult
from hookfarm.delivery_queue.job import Job
from hookfarm.event_stream import BATCH_ENTRIES, StreamReader
from hookfarm.matching import payload
from hookfarm.matching.decoder import WebhookEventField
from hookfarm.records import Endpoint, Event, Subscription, new_endpoint_id, new_subscription_id
from hookfarm.registry.store import Registry
from hookfarm.store import keys
from hookfarm.store.clients import PipelinedConnection, pack

CHAIN_ID = 31337
TRANSFER = "Transfer(address indexed from, address indexed to, uint256 value)"
TRANSFER_TOPIC = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
LOGS_PER_BLOCK = 200
PACE_SECONDS = 0.002

Prepared = tuple[Event, Job]
"""A transfer and its job for the endpoint."""


def add_endpoint(client: "redis.Redis", url: str, secret: str) -> Endpoint:
    """Store an endpoint that subscribes to all transfers of the chain; its receiver has the secret."""
    endpoint = make_endpoint(url, secret)
    Registry(client).update(endpoint)
    return endpoint


def make_endpoint(url: str, secret: str) -> Endpoint:
    """Return an endpoint as `add_endpoint` does, without storing it."""
    subscription = Subscription(new_subscription_id(), CHAIN_ID, event=TRANSFER)
    return Endpoint(new_endpoint_id(), url, subscriptions=(subscription,), secrets=((secret, None),))


def transfer(number: int) -> tuple[Event, WebhookEventField]:
    """Return the transfer with this number, the same in each call."""
    draw = random.Random(number)
    block, index = divmod(number, LOGS_PER_BLOCK)
    sender, recipient = (f"0x{draw.getrandbits(160):040x}" for _ in range(2))
    value = draw.randrange(10**18, 10**24)
    event: Event = {
        "chain_id": CHAIN_ID,
        "block_number": 20_000_000 + block,
        "block_hash": _hash(f"block {block}"),
        "block_timestamp": 1_760_000_000 + 12 * block,
        "transaction_hash": _hash(f"transaction {number}"),
        "transaction_index": index,
        "log_index": index,
        "address": f"0x{draw.getrandbits(160):040x}",
        "topics": [TRANSFER_TOPIC, *(f"0x{party[2:]:0>64}" for party in (sender, recipient))],
        "data": f"0x{value:064x}",
        "removed": False,
    }
    return event, {"name": "Transfer", "args": {"from": sender, "to": recipient, "value": str(value)}}


class Enqueuer:
    """Enqueues transfers like a message processor: stream, group, one script per batch.

    Each transfer is a job for one endpoint, in turn. `first` is the number of the first transfer. A transfer whose
    job is still queued can't be queued again.
    """

    def __init__(self, url: str, *endpoints: Endpoint, first: int = 0) -> None:
        self._connection = PipelinedConnection(url, block_seconds=5)
        self._reader = StreamReader(self._connection, "benchmark")
        self._reader.follow([CHAIN_ID])
        self._endpoints = endpoints
        self._made = first

    def prepare(self, count: int) -> list[Prepared]:
        """Return the next `count` transfers with their jobs."""
        first = self._made
        self._made += count
        return [self._match(number) for number in range(first, first + count)]

    def enqueue(self, prepared: Sequence[Prepared]) -> None:
        """Publish the events and enqueue their jobs, BATCH_ENTRIES at a time."""
        for start in range(0, len(prepared), BATCH_ENTRIES):
            self._publish_and_hand_off(prepared[start : start + BATCH_ENTRIES])

    def close(self) -> None:
        self._connection.close()

    def _publish_and_hand_off(self, batch: Sequence[Prepared]) -> None:
        stream = keys.events(CHAIN_ID)
        added = [pack(("XADD", stream, "*", keys.EVENT_FIELD, orjson.dumps(event))) for event, _ in batch]
        self._connection.send(b"".join(added))
        self._reader.send_read()
        for _ in added:
            self._connection.receive()
        entries, _ = self._reader.receive()
        handled = [EntryResult(entry, (job,)) for entry, (_, job) in zip(entries, batch, strict=True)]
        enqueued = delivery_queue.enqueue_results(self._connection, handled).enqueued
        assert enqueued == len(batch), f"{enqueued} of {len(batch)} enqueued"

    def _match(self, number: int) -> Prepared:
        return match(number, self._endpoints[number % len(self._endpoints)])


def match(number: int, endpoint: Endpoint) -> Prepared:
    """Return the transfer with this number and its job for the endpoint."""
    event, decoded = transfer(number)
    webhook_id = payload.webhook_id(event, endpoint.id, payload.LOG_EMITTED)
    body = payload.emitted_body(event, decoded, endpoint.subscriptions[0].id)
    return event, Job(webhook_id, endpoint.id, body)


def pace(enqueuer: Enqueuer, prepared: Sequence[Prepared], rate: float) -> dict[str, int]:
    """Enqueue jobs, `rate` a second; return webhook-id -> time just before it was enqueued (Unix time in ns)."""
    handed: dict[str, int] = {}
    began = time.monotonic()
    while len(handed) < len(prepared):
        due = int((time.monotonic() - began) * rate)
        batch = prepared[len(handed) : due]
        now = time.time_ns()
        handed.update((job.id, now) for _, job in batch)
        enqueuer.enqueue(batch)
        time.sleep(PACE_SECONDS)
    return handed


def _hash(text: str) -> str:
    return f"0x{hashlib.sha256(text.encode()).hexdigest()}"
