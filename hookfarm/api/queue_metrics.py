"""What lies in Redis at this moment, as metrics: depths of both hops, circuits, readiness, the server itself."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import redis.asyncio

from hookfarm.metrics import Family, gauge
from hookfarm.store import keys


@dataclass(frozen=True)
class Depths:
    """Numbers only; None = Redis did not tell."""

    jobs: dict[str, int]
    queued: int
    unconfirmed: int
    in_lanes: int
    oldest_seconds: float
    endpoints: dict[str, int]
    circuits_open: int
    streams: dict[int, tuple[int, int]]
    """Chain -> entries, and those of them that a processor has read and not handed off."""
    ready: dict[str, bool]
    memory: dict[str, int]


async def read(client: "redis.asyncio.Redis", chains: Sequence[int]) -> Depths:
    """In two round trips, whatever the number of jobs and endpoints. RedisError where it does not answer."""
    async with client.pipeline(transaction=True) as pipe:
        for count, key in _COUNTED:
            getattr(pipe, count)(key)
        pipe.zrange(keys.OPEN, 0, 0, withscores=True)
        pipe.time()
        pipe.mget([keys.ready(service) for service in keys.SERVICES])
        pipe.info("memory")
        *counts, oldest, now, ready, memory = await pipe.execute()
    queued, jobs, open_, retry, dead, unconfirmed, in_lanes, endpoints, paused, circuits = counts
    return Depths(
        {"open": open_, "parked": max(0, jobs - open_ - retry - dead), "retry": retry, "dead": dead},
        queued,
        unconfirmed,
        in_lanes,
        max(0.0, now[0] + now[1] / 1e6 - oldest[0][1] / 1e6) if oldest else 0.0,
        {"enabled": endpoints - paused, "disabled": paused},
        circuits,
        await _streams(client, chains),
        {service: stored == b"true" for service, stored in zip(keys.SERVICES, ready, strict=True)},
        {"used": int(memory["used_memory"]), "max": int(memory["maxmemory"])},
    )


_COUNTED = (
    ("llen", keys.DELIVERY_QUEUE),
    ("hlen", keys.JOBS),
    ("zcard", keys.OPEN),
    ("zcard", keys.RETRY),
    ("zcard", keys.DEAD),
    ("hlen", keys.UNCONFIRMED),
    ("hlen", keys.BACKFILL_JOBS),
    ("hlen", keys.ENDPOINTS),
    ("scard", keys.DISABLED_ENDPOINTS),
    ("zcard", keys.OPEN_CIRCUITS),
)


async def _streams(client: "redis.asyncio.Redis", chains: Sequence[int]) -> dict[int, tuple[int, int]]:
    """Those that exist."""
    async with client.pipeline(transaction=False) as pipe:
        for chain in chains:
            pipe.xlen(keys.events(chain))
            pipe.xinfo_groups(keys.events(chain))
        found: list[Any] = await pipe.execute(raise_on_error=False) if chains else []
    return {
        chain: (length, _pending(groups))
        for chain, length, groups in zip(chains, found[::2], found[1::2], strict=True)
        if isinstance(length, int) and not isinstance(groups, Exception)
    }


def _pending(groups: Any) -> int:
    ours = (group for group in groups if group["name"] == keys.PROCESSOR_GROUP.encode())
    return sum(int(group["pending"]) for group in ours)


def families(depths: Depths, services: Collection[str]) -> Iterable[Family]:
    """`services`: those that some farm runs, whose readiness is of interest."""
    yield from _queue(depths)
    yield from _stream(depths)
    yield gauge(
        "hookfarm_service_ready",
        "1 while the service's ready key stands.",
        *(({"service": service}, int(depths.ready[service])) for service in keys.SERVICES if service in services),
    )
    yield gauge(
        "hookfarm_endpoints",
        "Endpoints of the registry.",
        *(({"state": state}, count) for state, count in depths.endpoints.items()),
    )
    yield gauge("hookfarm_redis_memory_used_bytes", "used_memory of Redis.", ({}, depths.memory["used"]))
    yield gauge("hookfarm_redis_memory_max_bytes", "maxmemory of Redis; 0 = no limit.", ({}, depths.memory["max"]))


def _queue(depths: Depths) -> Iterable[Family]:
    yield gauge(
        "delivery_queue_jobs",
        "Jobs of the ledger by place; open = in the list or in a worker.",
        *(({"place": place}, count) for place, count in depths.jobs.items()),
    )
    yield gauge("delivery_queue_length", "Elements of the list delivery_queue.", ({}, depths.queued))
    yield gauge("delivery_queue_unconfirmed", "Jobs that wait for confirmations.", ({}, depths.unconfirmed))
    yield gauge("delivery_queue_in_lanes", "Jobs of backfills that wait behind live ones.", ({}, depths.in_lanes))
    yield gauge(
        "delivery_queue_oldest_open_seconds",
        "How long the oldest open job has been open; 0 = there is none.",
        ({}, round(depths.oldest_seconds, 3)),
    )
    yield gauge(
        "webhook_delivery_circuits_open",
        "Endpoints that fail and are only probed; what they are owed is parked.",
        ({}, depths.circuits_open),
    )


def _stream(depths: Depths) -> Iterable[Family]:
    yield gauge(
        "event_stream_length",
        "Entries of the chain's stream.",
        *(({"chain_id": str(chain)}, length) for chain, (length, _) in depths.streams.items()),
    )
    yield gauge(
        "event_stream_pending",
        "Entries of them that a processor has read and not handed off.",
        *(({"chain_id": str(chain)}, pending) for chain, (_, pending) in depths.streams.items()),
    )
