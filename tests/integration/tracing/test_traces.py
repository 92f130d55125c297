"""One delivery process that makes traces, before a real queue, a real receiver and a collector."""

import contextlib
import os
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from hookfarm.delivery_queue import EntryResult, HistoryUpdate, Retraction, StoredUntilFinal
from hookfarm.delivery_queue.job import Job
from hookfarm.event_stream import StreamEntry
from hookfarm.farm.child import Child
from hookfarm.farm.scoreboard import Scoreboard
from hookfarm.store import keys
from hookfarm.tracing import TracingSettings, open_spans
from hookfarm.tracing.spans import Spans, block_span
from tests.support.collector import Arrived, Collector, running_collector
from tests.support.delivery import add_endpoint, enqueue, job, one_worker
from tests.support.receivers import Receiver
from tests.support.waiting import eventually

BODY = (
    '{"type":"log.emitted","timestamp":"2026-11-22T18:00:00Z","data":{"chain_id":1,"block_number":2,'
    f'"block_hash":"0x{"b1" * 32}","block_timestamp":3,"transaction_hash":"0x{"c2" * 32}",'
    '"transaction_index":4,"log_index":7}}'
).encode()


@pytest.fixture
def collector() -> Iterator[Collector]:
    with running_collector() as running:
        yield running


@contextlib.contextmanager
def spans_to(url: str, sample_ratio: float = 1.0) -> Iterator[Spans]:
    """Those of a process that ends with the context."""
    child = Child(keys.WEBHOOK_DELIVERY, 0, Scoreboard({keys.WEBHOOK_DELIVERY: 1}))
    child.slot.on_forked(os.getpid())
    with open_spans(TracingSettings(url + "/v1/traces", sample_ratio), child) as spans:
        assert spans is not None
        yield spans
    child.close()


def delivered(redis_url: str, client: Any, url: str, spans: Spans, **bodies: bytes) -> None:
    endpoint = add_endpoint(client, url)
    enqueue(redis_url, *(job(endpoint, name, body) for name, body in bodies.items()))
    with one_worker(redis_url, spans=spans) as worker:
        worker.step(len(bodies))
        worker.settle()


def of(collector: Collector, webhook_id: str) -> Arrived:
    def found() -> list[Arrived]:
        return [s for s in list(collector.spans) if s.attributes["hookfarm.delivery"] == webhook_id]

    eventually(found, what="the span of the attempt")
    [arrived] = found()
    return arrived


def test_the_last_spans_of_a_process_are_sent_at_its_end(
    client: Any, redis_url: str, receiver: Receiver, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "600000")
    with spans_to(collector.url) as spans:
        delivered(redis_url, client, receiver.url + "?token=canary", spans, msg_log=BODY)
        assert not collector.spans
    attempt = of(collector, "msg_log")
    assert attempt.parent
    assert attempt.attributes["server.port"] == receiver.port
    assert "canary" not in str(collector.spans)
    [received] = receiver.received
    assert received.header("traceparent") == f"00-{attempt.trace}-{attempt.id}-01"


def test_a_job_of_somebody_else_is_a_trace_by_itself(
    client: Any, redis_url: str, receiver: Receiver, collector: Collector
) -> None:
    with spans_to(collector.url) as spans:
        delivered(redis_url, client, receiver.url, spans, msg_a=b'{"a":1}', msg_b=b'{"b":1}')
    assert of(collector, "msg_a").parent == of(collector, "msg_b").parent == ""
    assert of(collector, "msg_a").trace != of(collector, "msg_b").trace


def test_a_block_outside_the_sample_sends_nothing_and_says_so(
    client: Any, redis_url: str, receiver: Receiver, collector: Collector
) -> None:
    with spans_to(collector.url, sample_ratio=0.0) as spans:
        delivered(redis_url, client, receiver.url, spans, msg_log=BODY)
    assert receiver.received[0].header("traceparent").endswith("-00")
    assert not collector.requests


def test_an_endpoint_that_does_not_answer_is_an_error_of_its_kind(
    client: Any, redis_url: str, collector: Collector
) -> None:
    with spans_to(collector.url) as spans:
        delivered(redis_url, client, "http://127.0.0.1:1/", spans, msg_log=BODY)
    attempt = of(collector, "msg_log")
    assert attempt.failed
    assert attempt.attributes["error.type"] == "connection"
    assert "http.response.status_code" not in attempt.attributes


@pytest.mark.parametrize("away", ["gone", "refusing", "hanging"])
def test_a_collector_that_is_away_holds_up_no_delivery(
    client: Any,
    redis_url: str,
    receiver: Receiver,
    collector: Collector,
    monkeypatch: pytest.MonkeyPatch,
    away: str,
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "1")
    url = "http://127.0.0.1:1" if away == "gone" else collector.url
    if away == "hanging":
        collector.answering.clear()
    collector.status = 400
    with spans_to(url) as spans:
        delivered(redis_url, client, receiver.url, spans, msg_1=BODY)
        if away != "gone":
            eventually(lambda: collector.requests > 0, what="spans being sent")
        delivered(redis_url, client, receiver.url, spans, msg_2=BODY, msg_3=BODY)
        collector.answering.set()
    assert [r.id for r in receiver.received] == ["msg_1", "msg_2", "msg_3"]


def test_what_is_handed_off_is_traced_once_and_only_where_somebody_wants_it(collector: Collector) -> None:
    block = "1:0x" + "b1" * 32
    wanted = Job("msg_1", "ep_1", b"{}")
    removal = Retraction("ep_1", ("msg_1",))
    done = [
        EntryResult(StreamEntry(1, b"1-0", b""), (wanted, wanted), history=HistoryUpdate(block, 0, "", "")),
        EntryResult(StreamEntry(1, b"2-0", b""), retractions=(removal,), history=HistoryUpdate(block, 0, "", "")),
        EntryResult(
            StreamEntry(1, b"3-0", b""),
            awaits_finality=StoredUntilFinal(1, b"kept"),
            history=HistoryUpdate(block, "t3", "", ""),
        ),
        EntryResult(
            StreamEntry(1, b"4-0", b""),
            awaits_finality=StoredUntilFinal(1, b""),
            history=HistoryUpdate(block, 4, "", ""),
        ),
        EntryResult(StreamEntry(1, b"5-0", b""), history=HistoryUpdate(block, 5, "", "")),
        EntryResult(StreamEntry(1, b"6-0", b""), (wanted,), history=HistoryUpdate(block, 6, "", "")),
        EntryResult(StreamEntry(1, b"7-0", b"")),
    ]
    with spans_to(collector.url) as spans:
        spans.matches(done, {b"6-0": "history"}, read_ns=1)
    collector.wait_for(match=3)
    seen = {
        (s.attributes["hookfarm.position"], s.attributes["hookfarm.removed"]): s.attributes["hookfarm.endpoints"]
        for s in collector.spans
    }
    assert seen == {("0", False): 2, ("0", True): 1, ("t3", False): 1}
    assert {s.parent for s in collector.spans} == {f"{block_span(block).span:016x}"}
    assert len({s.id for s in collector.spans}) == len(collector.spans) == 3


def test_the_log_says_once_that_the_collector_is_away_and_once_that_it_is_back(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "1")
    collector.status = 400
    with caplog.at_level("INFO"), spans_to(collector.url) as spans:
        for number in (1, 2):
            spans.block(1, number, f"0x{number}", 1, 0)
            eventually(partial(_asked, collector, number), what="spans being sent")
        eventually(lambda: "traces not sent" in caplog.messages, what="the log saying so")
        collector.status = 200
        eventually(lambda: _sent(spans, collector), what="spans arriving")
        eventually(lambda: "traces sent again" in caplog.messages, what="the log saying so")
    assert [m for m in caplog.messages if m.startswith("traces")] == ["traces not sent", "traces sent again"]


def _asked(collector: Collector, times: int) -> bool:
    return collector.requests >= times


def _sent(spans: Spans, collector: Collector) -> bool:
    spans.block(1, 3, "0x3", 1, 0)
    return bool(collector.spans)
