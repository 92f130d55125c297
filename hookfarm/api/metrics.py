"""`/metrics` for Prometheus: what every farm on this Redis has counted, and what lies in Redis now.

The whole deployment is in each answer, so one API of it is scraped. Farms are told apart by the label `host`;
where several of one host answer, by `host/pid` of their masters, since the sum of counters would fall when one of
them starts again. Without Redis, or where a farm does not answer in time, the rest is told.
"""

import platform
from collections import Counter
from collections.abc import Iterable
from math import inf
from typing import Any

import redis
from fastapi import APIRouter, Request, Response
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric

import hookfarm
from hookfarm import metrics
from hookfarm.api import queue_metrics
from hookfarm.api.context import Context
from hookfarm.metrics import Answer, Distribution, Family, RollCall, Sample, gauge

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
        lying = await queue_metrics.read(context.async_client, _chains(told))
    except redis.RedisError:
        return [*found, _redis_up(0)]
    services = {*context.settings.services, *_labels(told, "hookfarm_processes_wanted", "service")}
    return [*found, _redis_up(1), *_farms(called), *queue_metrics.families(lying, services), *told]


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
