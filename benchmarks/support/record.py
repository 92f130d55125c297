"""A large delivery log, written directly to Redis in the format of the scripts.

Each endpoint has a subscription with an address, an event and a condition. The deliveries are those of the newest
tenth of the endpoints, which every list shows first; one attempt in a hundred got a 503. Dead letters, and jobs in
retry, are a fiftieth of the deliveries each.
"""

import struct
import time
from collections.abc import Iterator, Sequence
from typing import Any

import orjson
import redis

from hookfarm.deliveries import state_index
from hookfarm.deliveries.endpoint_stats import MAX_ATTEMPTS
from hookfarm.deliveries.filters import DeadLetterFilter
from hookfarm.delivery_queue.job import Job, encode
from hookfarm.records import Endpoint, Subscription, new_subscription_id
from hookfarm.store import keys
from support.webhooks import CHAIN_ID, TRANSFER

AT_ONCE = 2000
DURATION_MS = 12
REASONS = ("exhausted", "endpoint_gone", "worker_lost")
BODY = b'{"type":"log.emitted","data":{}}'


def fill(client: "redis.Redis", endpoints: int, deliveries: int) -> Sequence[str]:
    """Write the log; return the ids of the endpoints with deliveries, newest first."""
    now_us = int(time.time() * 1_000_000)
    names = [f"ep_{number:024x}" for number in range(endpoints)]
    for batch in _batches(endpoints):
        stored: dict[Any, Any] = {names[i]: orjson.dumps(_endpoint(names[i], i).stored()) for i in batch}
        client.hset(keys.ENDPOINTS, mapping=stored)
        client.zadd(keys.REGISTRY_CREATED, {names[i]: now_us - endpoints + i for i in batch})
    busy = names[-max(1, endpoints // 10) :][::-1]
    for batch in _batches(deliveries):
        _deliver(client, batch, busy)
    _look_back(client, busy, deliveries // len(busy))
    for batch in _batches(deliveries // 50):
        _give_up(client, batch, busy, now_us // 1000)
    state_index.dead(client, DeadLetterFilter(endpoint=busy[0]), None, 1)
    state_index.retry(client, busy[0], None, 1)
    return busy


def _endpoint(name: str, number: int) -> Endpoint:
    subscription = Subscription(
        new_subscription_id(), CHAIN_ID, (f"0x{number:040x}",), TRANSFER, where="value > 1000000"
    )
    return Endpoint(name, f"https://hooks-{number}.example/", f"customer {number}", (subscription,))


def _batches(count: int) -> Iterator[range]:
    return (range(start, min(start + AT_ONCE, count)) for start in range(0, count, AT_ONCE))


def _deliver(client: "redis.Redis", numbers: range, endpoints: Sequence[str]) -> None:
    jobs: dict[Any, Any] = {}
    records: dict[Any, Any] = {}
    with client.pipeline(transaction=False) as pipe:
        for number in numbers:
            name, endpoint = f"msg_{number:040x}", endpoints[number % len(endpoints)]
            status = "503" if number % 100 == 0 else "200"
            outcome = {"at": 1.0, "duration_ms": DURATION_MS, "status": int(status), "detail": "ok"}
            jobs[name] = Job(name, endpoint, BODY).encoded()
            records[name] = orjson.dumps({"done": 1, "outcome": outcome})
            attempt = f"{name} 1 {status} {DURATION_MS}"
            pipe.xadd(keys.ATTEMPTS + endpoint, {"a": attempt})
            pipe.xadd(keys.ATTEMPTS_ALL, {"a": f"{endpoint} {attempt}"})
        pipe.hset(keys.JOBS, mapping=jobs)
        pipe.hset(keys.DELIVERED, mapping=records)
        pipe.execute()


def _look_back(client: "redis.Redis", endpoints: Sequence[str], attempts: int) -> None:
    """Store the statistics of the last `attempts` of each endpoint (store/lua/shared/delivery_log.lua)."""
    count = len(endpoints)
    for batch in _batches(count):
        notes = {}
        for place in batch:
            latest = range(max(0, attempts - MAX_ATTEMPTS), attempts)
            marks = [2 * DURATION_MS + bool((place + turn * count) % 100) for turn in latest]
            notes[keys.ENDPOINT_STATS + endpoints[place]] = struct.pack(f">{len(marks)}I", *marks)
        client.mset(notes)
        client.sadd(keys.LOGGED_ENDPOINTS, *(endpoints[place] for place in batch))


def _give_up(client: "redis.Redis", numbers: range, endpoints: Sequence[str], now_ms: int) -> None:
    dead: dict[Any, Any] = {}
    retry: dict[Any, Any] = {}
    for number in numbers:
        endpoint = endpoints[number % len(endpoints)]
        header = {"endpoint": endpoint, "attempt": 2, "reason": REASONS[number % len(REASONS)]}
        dead[f"dead_{number:040x}"] = encode({"id": f"dead_{number:040x}", **header}, BODY)
        retry[f"retry_{number:040x}"] = Job(f"retry_{number:040x}", endpoint, BODY).encoded()
    client.hset(keys.JOBS, mapping={**dead, **retry})
    client.zadd(keys.DEAD, {name: now_ms - i for i, name in enumerate(dead)})
    client.zadd(keys.RETRY, {name: now_ms + 3_600_000 + i for i, name in enumerate(retry)})
