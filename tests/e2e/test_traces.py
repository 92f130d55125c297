"""Traces of a whole farm: each process sends its own spans, and together they are one trace."""

import hashlib
import signal
from collections.abc import Iterator

import pytest

from hookfarm.devchain.embedded import running_devchain
from tests.support.collector import Collector, running_collector
from tests.support.farm_processes import FarmProcess, hookfarm
from tests.support.pipeline import LOOPBACK, Pipeline
from tests.support.waiting import eventually

SOON = "50"
"""Milliseconds between two exports; OpenTelemetry's own default is 5 s."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with running_collector() as running:
        yield running


def start(pipeline: Pipeline, url: str, *arguments: str) -> FarmProcess:
    farm = pipeline.start_farm(
        *("--workers", "3", "--api", "127.0.0.1:0", "--otel-endpoint", url, *arguments),
        redis_url=pipeline.redis_url,
        HOOKFARM_ALLOW_PRIVATE=LOOPBACK,
        HOOKFARM_RETRY_SCHEDULE="100ms",
        OTEL_BSP_SCHEDULE_DELAY=SOON,
    )
    return farm.wait_ready()


def test_a_block_is_one_trace_from_the_ingestor_to_each_attempt(pipeline: Pipeline, collector: Collector) -> None:
    pipeline.receiver.reply_with(503)
    with running_devchain(chain_id=1360, logs_per_block=2) as chain:
        start(pipeline, collector.url, "--chain", f"1360={chain.ws_url}")
        endpoint = pipeline.add_endpoint(1360)
        chain.mine(1)
        received = pipeline.receiver.wait_for(3)
        collector.wait_for(block=1, match=2, attempt=3)
        block_hash = chain.canonical_logs()[0]["blockHash"]

    [block], matches, attempts = collector.named("block"), collector.named("match"), collector.named("attempt")
    digest = hashlib.sha256(f"1360:{block_hash}".encode()).hexdigest()
    assert (block.trace, block.id, block.parent) == (digest[:32], digest[32:48], "")
    assert block.attributes["hookfarm.block_hash"] == block_hash
    assert block.attributes["hookfarm.events"] == 2
    assert {span.trace for span in collector.spans} == {block.trace}
    assert {span.parent for span in matches} == {block.id}
    assert {span.attributes["hookfarm.position"] for span in matches} == {"0", "1"}
    assert {span.parent for span in attempts} == {span.id for span in matches}
    assert {span.attributes["hookfarm.endpoint"] for span in attempts} == {endpoint["id"]}
    statuses = sorted((s.attributes["http.response.status_code"], s.failed) for s in attempts)
    assert statuses == [(200, False), (200, False), (503, True)]
    assert [s.attributes["error.type"] for s in attempts if s.failed] == ["503"]
    services = {span.name: span.service for span in collector.spans}
    assert services == {"block": "event_ingestor", "match": "message_processor", "attempt": "webhook_delivery"}
    assert all(span.start_ns <= span.end_ns for span in collector.spans)
    told = {r.header("traceparent") for r in received}
    assert told == {f"00-{span.trace}-{span.id}-01" for span in attempts}
    assert all(r.signature_valid for r in received)


def test_a_collector_that_hangs_holds_nothing_up(pipeline: Pipeline, collector: Collector) -> None:
    collector.answering.clear()
    with running_devchain(chain_id=1361, logs_per_block=5) as chain:
        farm = start(pipeline, collector.url, "--chain", f"1361={chain.ws_url}")
        pipeline.add_endpoint(1361)
        chain.mine(2)
        pipeline.receiver.wait_for(10)
        eventually(lambda: collector.requests > 0, what="spans being sent, which then hang")
        chain.mine(2)
        pipeline.receiver.wait_for(20)
        farm.signal(signal.SIGTERM)
        assert farm.wait(within=30) == 0
    assert all(r.signature_valid for r in pipeline.receiver.received)


def test_a_collectors_address_that_is_none_is_refused_without_its_secrets() -> None:
    said = hookfarm("start", "--otel-endpoint", "ftp://user:pw@collector/key")
    assert said.returncode == 2
    assert said.stderr == (
        "hookfarm: otel-endpoint: 'ftp://collector' is not a collector's URL, for example http://127.0.0.1:4318\n"
    )
