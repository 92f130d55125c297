"""The spans of one process. Imported only if tracing is enabled; a span costs its worker 30 us.

A finished span enters a bounded queue, which a thread sends every few seconds; a full queue drops its oldest
spans. So no process waits for the collector, except an exiting one for up to FLUSH_SECONDS.

Ids of traces and spans are derived from the records that each process has.
"""

import functools
import hashlib
import logging
import os
import socket
import threading
import time
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.util.types import AttributeValue

import hookfarm
from hookfarm import logs
from hookfarm.delivery_queue import EntryResult
from hookfarm.delivery_queue.job import ClaimedJob
from hookfarm.event_stream.event_json import parse_body_origin
from hookfarm.farm.child import Child
from hookfarm.farm.spawn import signals_blocked
from hookfarm.security.redaction import origin


class SpanId(NamedTuple):
    """A trace and a span in it: 16 and 8 bytes, as numbers."""

    trace: int
    span: int


def block_span(block: str) -> SpanId:
    """Return the span of a block; `block` is `<chain>:<block hash>`."""
    digest = hashlib.sha256(block.encode()).digest()
    return SpanId(int.from_bytes(digest[:16]), int.from_bytes(digest[16:24]))


def match_span(block: str, position: int | str, is_removal: bool) -> SpanId:
    """Return the span of a match; `position` is a log's index, or `t` and a transaction's index."""
    kind = "removed" if is_removal else "emitted"
    digest = hashlib.sha256(f"{block}\n{position}\n{kind}".encode()).digest()
    return SpanId(block_span(block).trace, int.from_bytes(digest[:8]))


def parent_of_attempt(body: bytes) -> SpanId | None:
    """Return the span of the match that caused a webhook; None for a body about anything but a log or transfer."""
    origin = parse_body_origin(body)
    return None if origin is None else match_span(origin.block, origin.position, origin.is_removal)


def trace_without_block(webhook_id: str) -> int:
    """Return the trace of a delivery without a block. It contains all attempts."""
    return int.from_bytes(hashlib.sha256(webhook_id.encode()).digest()[:16])


FLUSH_SECONDS = 2.0
"""Max time at the end of a process for sending its last spans."""
_JOIN_SECONDS = 0.02

Attributes = dict[str, AttributeValue]


@functools.cache
def load() -> Resource:
    """Return the attributes of all processes; created once, before the forks.

    OTEL_RESOURCE_ATTRIBUTES adds to them.
    """
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # EdgeLoggingExporter logs outages instead.
    about = {"service.namespace": "hookfarm", "service.version": hookfarm.__version__}
    return Resource.create({**about, "host.name": socket.gethostname()})


class Spans:
    """Spans of one process, for use in one thread. Create it after the fork: it starts the sending thread."""

    def __init__(self, url: str, sample_ratio: float, service: str) -> None:
        self._exporter = EdgeLoggingExporter(url, service)
        self._ids = _Ids()
        self._provider = TracerProvider(
            sampler=TraceIdRatioBased(sample_ratio),
            resource=load().merge(Resource({"service.name": service, "process.pid": os.getpid()})),
            id_generator=self._ids,
            shutdown_on_exit=False,
        )
        with signals_blocked():  # Signals must wake the worker's thread, not this one.
            self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer("hookfarm", hookfarm.__version__)

    def block(self, chain_id: int, number: int, block_hash: str, events: int, seen_ns: int) -> None:
        """Record the span of a block with published events; `seen_ns` is Unix time."""
        attributes: Attributes = {
            "hookfarm.chain_id": chain_id,
            "hookfarm.block_number": number,
            "hookfarm.block_hash": block_hash,
            "hookfarm.events": events,
        }
        own = block_span(f"{chain_id}:{block_hash}")
        self._start("block", own, None, SpanKind.PRODUCER, attributes, seen_ns).end()

    def match(self, block: str, position: int | str, is_removal: bool, endpoints: int, read_ns: int) -> None:
        """Record the span of an event with enqueued jobs."""
        attributes: Attributes = {
            "hookfarm.position": str(position),
            "hookfarm.removed": is_removal,
            "hookfarm.endpoints": endpoints,
        }
        own, parent = match_span(block, position, is_removal), block_span(block).span
        self._start("match", own, parent, SpanKind.CONSUMER, attributes, read_ns).end()

    def matches(self, results: Iterable[EntryResult], skipped: Container[bytes], read_ns: int) -> None:
        """Record a span for each event with notifications, except the ids in `skipped`."""
        for result in results:
            endpoints = _notified_endpoints(result)
            if result.history is not None and endpoints and result.entry.entry_id not in skipped:
                is_removal = bool(result.retractions)
                self.match(result.history.block, result.history.position, is_removal, endpoints, read_ns)

    def attempt(self, job: ClaimedJob, host: str, port: int) -> "AttemptSpan":
        """Return the span of a POST that begins now. It contains only host and port of the URL."""
        attributes: Attributes = {
            "hookfarm.delivery": job.id,
            "hookfarm.endpoint": job.endpoint,
            "hookfarm.attempt": job.attempt,
            "http.request.method": "POST",
            "server.address": host,
            "server.port": port,
        }
        parent = parent_of_attempt(job.body)
        trace = trace_without_block(job.id) if parent is None else parent.trace
        own = SpanId(trace, self._ids.random_span())
        above = None if parent is None else parent.span
        return AttemptSpan(self._start("attempt", own, above, SpanKind.CLIENT, attributes, time.time_ns()))

    def close(self, child: Child) -> None:
        """Send the last spans unless the collector is down, within FLUSH_SECONDS and the child's grace."""
        if self._exporter.is_failing:
            return
        child.slot.heartbeat(FLUSH_SECONDS + 0.5)
        until = time.monotonic() + FLUSH_SECONDS
        with signals_blocked():
            sending = threading.Thread(target=self._provider.shutdown, name="last spans", daemon=True)
            sending.start()
        while sending.is_alive() and time.monotonic() < until and not child.grace_expired:
            sending.join(_JOIN_SECONDS)
        if sending.is_alive():
            self._exporter.shutdown()  # Stops its retries.

    def _start(
        self, name: str, own: SpanId, parent: int | None, kind: SpanKind, attributes: Attributes, began_ns: int
    ) -> Span:
        self._ids.next = own
        context = Context()
        if parent is not None:
            above = SpanContext(own.trace, parent, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
            context = set_span_in_context(NonRecordingSpan(above), context)
        return self._tracer.start_span(name, context, kind, attributes, start_time=began_ns)


@dataclass(frozen=True)
class AttemptSpan:
    """The span of one POST in flight."""

    span: Span

    @property
    def header(self) -> bytes:
        """The header line that continues the trace at the receiver (W3C Trace Context, `traceparent`)."""
        context = self.span.get_span_context()
        if not context.is_valid:
            return b""
        return b"traceparent: 00-%032x-%016x-%02x\r\n" % (context.trace_id, context.span_id, context.trace_flags)

    def end(self, status: int | None, error: str | None) -> None:
        """End the span; `status` is the response's, `error` the kind of a failure."""
        if status is not None:
            self.span.set_attribute("http.response.status_code", status)
        if error is not None:
            self.span.set_attribute("error.type", error)
            self.span.set_status(Status(StatusCode.ERROR))
        self.span.end()


class EdgeLoggingExporter(SpanExporter):
    """An OTLP exporter that logs an outage of the collector and its recovery, once each.

    Further settings (headers with a token, certificates, time-outs) come from the variables OTEL_EXPORTER_OTLP_…,
    which OpenTelemetry reads.
    """

    def __init__(self, url: str, service: str) -> None:
        self._collector = OTLPSpanExporter(endpoint=url)
        self._origin = origin(url)
        self._log = logs.get(service)
        self._lost = 0
        self.is_failing = False
        """Whether the last export failed."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._collector.export(spans)
        if result is SpanExportResult.SUCCESS:
            if self.is_failing:
                self._log.info("traces sent again", collector=self._origin, spans_lost=self._lost)
            self.is_failing, self._lost = False, 0
            return result
        self._lost += len(spans)
        if not self.is_failing:
            self._log.warning("traces not sent", collector=self._origin, consequence="spans are lost")
        self.is_failing = True
        return result

    def shutdown(self) -> None:
        self._collector.shutdown()  # type: ignore[no-untyped-call]


def _notified_endpoints(result: EntryResult) -> int:
    """Return the number of notified endpoints; 1 for a log that is only stored until finality."""
    notified = len(result.jobs) + len(result.unconfirmed) + len(result.retractions)
    return notified or int(result.awaits_finality is not None and bool(result.awaits_finality.stored))


class _Ids(IdGenerator):
    """Id generator that returns the derived ids of the next span."""

    def __init__(self) -> None:
        self.next = SpanId(0, 0)
        self._random = RandomIdGenerator()

    def generate_trace_id(self) -> int:
        return self.next.trace

    def generate_span_id(self) -> int:
        return self.next.span

    def random_span(self) -> int:
        return self._random.generate_span_id()
