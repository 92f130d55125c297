"""`/metrics` for Prometheus: the counters of every farm on this Redis, and the depths of both hops.

Each response covers the whole deployment, so Prometheus scrapes one API. The label `host` identifies a farm. For
several farms on one host it is `host/pid` of their masters: the sum of their counters would fall at a restart. If
Redis or a farm does not respond in time, the other metrics are returned.
"""

import platform
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import redis
from fastapi import APIRouter, Request, Response
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric

import hookfarm
from hookfarm import delivery_queue, metrics
from hookfarm.api.context import Context
from hookfarm.delivery_queue import Depths
from hookfarm.metrics import CollectedMetrics, Distribution, Family, FarmMetrics, Sample, gauge
from hookfarm.status.snapshot import STREAM_REPLIES, StreamDepths, parse_stream, request_stream
from hookfarm.store import keys
from hookfarm.store.clients import AsyncClient

_CONTENT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Metrics as text or as OpenMetrics.",
        "content": {
            kind: {"schema": {"type": "string"}, "example": "webhook_delivery_retries_total 0.0\n"}
            for kind in ("text/plain", "application/openmetrics-text")
        },
    }
}


def build_router(context: Context) -> APIRouter:
    router = APIRouter(tags=["health"])

    @router.get("/metrics", summary="Return metrics for Prometheus.", response_class=Response, responses=_CONTENT)
    async def metrics_(request: Request) -> Response:
        families = await scrape(context)
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(_Collected(families)), media_type=content_type)

    return router


async def scrape(context: Context) -> list[Family]:
    """Return the metrics of all farms, and those read from Redis."""
    found = [_build_info()]
    try:
        called = await metrics.collect(context.async_client)
        counted = merged(called.farms)
        numbers = await read_redis(context.async_client, _chains(counted))
    except redis.RedisError:
        return [*found, _redis_up(0)]
    services = {*context.settings.services, *_labels(counted, "hookfarm_processes_wanted", "service")}
    return [*found, _redis_up(1), *_farms(called), *redis_families(numbers, services), *counted]


def merged(answers: Iterable[FarmMetrics]) -> list[Family]:
    """Return the merged families of all farms; each sample gets the label `host` of its farm."""
    answers = tuple(answers)
    of_host = Counter(answer.host for answer in answers)
    found: dict[str, Family] = {}
    for answer in answers:
        host = answer.host if of_host[answer.host] == 1 else f"{answer.host}/{answer.pid}"
        for family in answer.families:
            samples = tuple(Sample({**sample.labels, "host": host}, sample.value) for sample in family.samples)
            before = found[family.name].samples if family.name in found else ()
            found[family.name] = Family(family.name, family.kind, family.help, before + samples)
    return list(found.values())


def _farms(called: CollectedMetrics) -> Iterable[Family]:
    yield gauge("hookfarm_farms", "Farms whose metrics are in this response.", ({}, len(called.farms)))
    yield gauge("hookfarm_farms_silent", "Farms that did not respond in time.", ({}, called.missing))


def _build_info() -> Family:
    labels = {"version": hookfarm.__version__, "python": platform.python_version()}
    return gauge(
        "hookfarm_build_info", "Always 1; the labels name the versions of hookfarm and Python.", (labels, 1)
    )


def _redis_up(up: int) -> Family:
    return gauge("hookfarm_redis_up", "1 if Redis answers the API.", ({}, up))


def _chains(families: Iterable[Family]) -> list[int]:
    """Return the ids of all chains that the metrics name."""
    families = list(families)
    named = {
        *_labels(families, "message_processor_chain_followed", "chain_id"),
        *_labels(families, "event_ingestor_up", "chain_id"),
    }
    return sorted(int(chain) for chain in named if chain.isdigit())


def _labels(families: Iterable[Family], name: str, label: str) -> set[str]:
    return {sample.labels[label] for family in families if family.name == name for sample in family.samples}


class _Collected:
    """Collector that passes families to the encoders of prometheus-client."""

    def __init__(self, families: Iterable[Family]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return map(_metric, self._families)


def _metric(family: Family) -> Metric:
    metric = Metric(family.name, family.help, family.kind)
    for sample in family.samples:
        labels = dict(sample.labels)
        if isinstance(sample.value, Distribution):
            _add_distribution(metric, labels, sample.value)
        else:
            suffix = "_total" if family.kind == "counter" else ""
            metric.add_sample(family.name + suffix, labels, sample.value)
    return metric


def _add_distribution(metric: Metric, labels: dict[str, str], value: Distribution) -> None:
    for limit, at_most in zip((*value.limits, inf), (*value.at_most, value.count), strict=True):
        metric.add_sample(
            f"{metric.name}_bucket", {**labels, "le": "+Inf" if limit == inf else repr(limit)}, at_most
        )
    metric.add_sample(f"{metric.name}_count", labels, value.count)
    metric.add_sample(f"{metric.name}_sum", labels, value.sum)


@dataclass(frozen=True)
class RedisNumbers:
    """Numbers read from Redis for one scrape."""

    depths: Depths
    unconfirmed: int
    in_backfills: int
    oldest_seconds: float
    endpoints: dict[str, int]
    open_circuits: int
    streams: list[StreamDepths]
    ready: dict[str, bool]
    memory: dict[str, int]


async def read_redis(client: AsyncClient, chains: Sequence[int]) -> RedisNumbers:
    """Read all numbers in two round trips; the cost is independent of jobs and endpoints. Raises RedisError."""
    async with client.pipeline(transaction=True) as pipe:
        delivery_queue.request_depths(pipe)
        pipe.hlen(keys.UNCONFIRMED)
        pipe.hlen(keys.BACKFILL_JOBS)
        pipe.hlen(keys.ENDPOINTS)
        pipe.scard(keys.DISABLED_ENDPOINTS)
        pipe.zcard(keys.OPEN_CIRCUITS)
        pipe.zrange(keys.OPEN, 0, 0, withscores=True)
        pipe.time()
        pipe.mget([keys.ready(service) for service in keys.SERVICES])
        pipe.info("memory")
        replies = await pipe.execute()
    numbers = replies[delivery_queue.DEPTH_REPLIES :]
    unconfirmed, in_backfills, endpoints, disabled, open_circuits, oldest, now, ready, memory = numbers
    return RedisNumbers(
        delivery_queue.parse_depths(replies),
        unconfirmed,
        in_backfills,
        max(0.0, now[0] + now[1] / 1e6 - oldest[0][1] / 1e6) if oldest else 0.0,
        {"enabled": endpoints - disabled, "disabled": disabled},
        open_circuits,
        await _read_streams(client, chains),
        {service: stored == b"true" for service, stored in zip(keys.SERVICES, ready, strict=True)},
        {"used": int(memory["used_memory"]), "max": int(memory["maxmemory"])},
    )


async def _read_streams(client: AsyncClient, chains: Sequence[int]) -> list[StreamDepths]:
    """Return the depths of the streams that exist."""
    async with client.pipeline(transaction=False) as pipe:
        for chain in chains:
            request_stream(pipe, chain)
        replies: list[Any] = await pipe.execute(raise_on_error=False) if chains else []
    parts = [replies[start : start + STREAM_REPLIES] for start in range(0, len(replies), STREAM_REPLIES)]
    found = [parse_stream(chain, part) for chain, part in zip(chains, parts, strict=True)]
    return [stream for stream, (_, groups) in zip(found, parts, strict=True) if not isinstance(groups, Exception)]


def redis_families(numbers: RedisNumbers, services: Collection[str]) -> Iterable[Family]:
    """Yield the metrics of both hops, and the readiness of `services`."""
    yield from _queue(numbers)
    yield from _streams(numbers.streams)
    yield gauge(
        "hookfarm_service_ready",
        "1 while the service's ready key is set.",
        *(({"service": service}, int(numbers.ready[service])) for service in keys.SERVICES if service in services),
    )
    yield gauge(
        "hookfarm_endpoints",
        "Endpoints in the registry.",
        *(({"state": state}, count) for state, count in numbers.endpoints.items()),
    )
    yield gauge(
        "hookfarm_redis_memory_used_bytes", "Memory that Redis uses (used_memory).", ({}, numbers.memory["used"])
    )
    yield gauge(
        "hookfarm_redis_memory_max_bytes",
        "Memory limit of Redis (maxmemory); 0 = no limit.",
        ({}, numbers.memory["max"]),
    )


def _queue(numbers: RedisNumbers) -> Iterable[Family]:
    depths = numbers.depths
    jobs = {"open": depths.open, "parked": max(0, depths.parked), "retry": depths.retry, "dead": depths.dead}
    yield gauge(
        "delivery_queue_jobs",
        "Jobs in the ledger by state; open = in the list or in a worker.",
        *(({"state": state}, count) for state, count in jobs.items()),
    )
    yield gauge("delivery_queue_length", "Elements in the list delivery_queue.", ({}, depths.queued))
    yield gauge("delivery_queue_unconfirmed", "Jobs that wait for confirmations.", ({}, numbers.unconfirmed))
    yield gauge("delivery_queue_backfill_jobs", "Jobs in backfill queues.", ({}, numbers.in_backfills))
    yield gauge(
        "delivery_queue_oldest_open_seconds",
        "Age of the oldest open job; 0 without open jobs.",
        ({}, round(numbers.oldest_seconds, 3)),
    )
    yield gauge(
        "webhook_delivery_circuits_open",
        "Endpoints with an open circuit breaker: they get probes only, their other jobs are parked.",
        ({}, numbers.open_circuits),
    )


def _streams(streams: Iterable[StreamDepths]) -> Iterable[Family]:
    known = [stream for stream in streams if stream["length"] is not None]
    yield gauge(
        "event_stream_length",
        "Entries in the chain's stream.",
        *(({"chain_id": str(stream["chain_id"])}, stream["length"] or 0) for stream in known),
    )
    yield gauge(
        "event_stream_pending",
        "Entries in the chain's stream that are read but not acked.",
        *(({"chain_id": str(stream["chain_id"])}, stream["pending"] or 0) for stream in known),
    )
