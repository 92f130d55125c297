"""`/metrics` for Prometheus: what every farm on this Redis has counted, and what lies in Redis now.

The whole deployment is in each answer, so one API of it is scraped. Farms are told apart by the label `host`;
where several of one host answer, by `host/pid` of their masters, since the sum of counters would fall when one of
them starts again. Without Redis, or where a farm does not answer in time, the rest is told.
"""

import platform
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import redis
import redis.asyncio
from fastapi import APIRouter, Request, Response
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric

import hookfarm
from hookfarm import metrics
from hookfarm.api.context import Context
from hookfarm.metrics import Answer, Distribution, Family, RollCall, Sample, gauge
from hookfarm.store import keys

_CONTENT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The metrics, as text or as OpenMetrics.",
        "content": {
            kind: {"schema": {"type": "string"}, "example": "webhook_delivery_retries_total 0.0\n"}
            for kind in ("text/plain", "application/openmetrics-text")
        },
    }
}


def build_router(context: Context) -> APIRouter:
    router = APIRouter(tags=["health"])

    @router.get("/metrics", summary="Metrics for Prometheus.", response_class=Response, responses=_CONTENT)
    async def metrics_(request: Request) -> Response:
        families = await collect(context)
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(_Collected(families)), media_type=content_type)

    return router


async def collect(context: Context) -> list[Family]:
    """Everything that is known at this moment."""
    found = [_build_info()]
    try:
        called = await metrics.ask(context.async_client)
        told = merged(called.answers)
        lying = await read_depths(context.async_client, _chains(told))
    except redis.RedisError:
        return [*found, _redis_up(0)]
    services = {*context.settings.services, *_labels(told, "hookfarm_processes_wanted", "service")}
    return [*found, _redis_up(1), *_farms(called), *depth_families(lying, services), *told]


def merged(answers: Iterable[Answer]) -> list[Family]:
    """The families of all farms, each sample with the label `host` of its farm."""
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


def _farms(called: RollCall) -> Iterable[Family]:
    yield gauge(
        "hookfarm_farms", "Farms on this Redis whose numbers are in this answer.", ({}, len(called.answers))
    )
    yield gauge("hookfarm_farms_silent", "Farms that were asked and did not answer in time.", ({}, called.silent))


def _build_info() -> Family:
    labels = {"version": hookfarm.__version__, "python": platform.python_version()}
    return gauge("hookfarm_build_info", "1; the labels say what runs.", (labels, 1))


def _redis_up(up: int) -> Family:
    return gauge("hookfarm_redis_up", "1 where Redis answers the API.", ({}, up))


def _chains(told: Iterable[Family]) -> list[int]:
    """Those whose stream somebody writes or reads."""
    told = list(told)
    named = {
        *_labels(told, "message_processor_chain_followed", "chain_id"),
        *_labels(told, "event_ingestor_up", "chain_id"),
    }
    return sorted(int(chain) for chain in named if chain.isdigit())


def _labels(told: Iterable[Family], name: str, label: str) -> set[str]:
    return {sample.labels[label] for family in told if family.name == name for sample in family.samples}


class _Collected:
    """What prometheus-client's encoders ask for."""

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


async def read_depths(client: "redis.asyncio.Redis", chains: Sequence[int]) -> Depths:
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


def depth_families(depths: Depths, services: Collection[str]) -> Iterable[Family]:
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
