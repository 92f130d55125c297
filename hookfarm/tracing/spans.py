"""The spans of one process. Imported only where traces are wanted; one of an attempt costs its worker 30 us.

A span is put into a queue when it ends, and a thread sends what is there every few seconds; the queue has an end,
beyond which the oldest spans are dropped. So nobody ever waits for the collector, except a process that is about
to leave, for a moment.
"""

import functools
import logging
import os
import socket
import threading
import time
from dataclasses import dataclass

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
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
from hookfarm.farm.child import Child
from hookfarm.farm.spawn import signals_blocked
from hookfarm.tracing.exporter import EdgeLoggingExporter
from hookfarm.tracing.identity import SpanId, block_span, foreign_trace, match_span, parent_of_attempt

FLUSH_SECONDS = 2.0
"""How long the end of a process may wait for its last spans to be sent."""
_LOOK_SECONDS = 0.02

Attributes = dict[str, AttributeValue]


@functools.cache
def load() -> Resource:
    """What all processes say of themselves; done once, before the forks. OTEL_RESOURCE_ATTRIBUTES adds to it."""
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # The exporter says what matters, once.
    about = {"service.namespace": "hookfarm", "service.version": hookfarm.__version__}
    return Resource.create({**about, "host.name": socket.gethostname()})


class Spans:
    """Makes spans; one thread of the process uses it. Make it after the fork: it starts the thread that sends."""

    def __init__(self, url: str, sample_ratio: float, service: str) -> None:
        self._exporter = EdgeLoggingExporter(url, service)
        self._ids = _Ids()
        self._provider = TracerProvider(
            sampler=TraceIdRatioBased(sample_ratio),
            resource=load().merge(Resource({"service.name": service, "process.pid": os.getpid()})),
            id_generator=self._ids,
            shutdown_on_exit=False,
        )
        with signals_blocked():  # They are for the thread that works, which must be woken by them.
            self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer("hookfarm", hookfarm.__version__)

    def block(self, chain_id: int, number: int, block_hash: str, events: int, seen_ns: int) -> None:
        """A block whose events have just been published; `seen_ns` is Unix time."""
        attributes: Attributes = {
            "hookfarm.chain_id": chain_id,
            "hookfarm.block_number": number,
            "hookfarm.block_hash": block_hash,
            "hookfarm.events": events,
        }
        own = block_span(f"{chain_id}:{block_hash}")
        self._start("block", own, None, SpanKind.PRODUCER, attributes, seen_ns).end()

    def match(self, block: str, place: int | str, removed: bool, endpoints: int, read_ns: int) -> None:
        """An event that has just been handed off; `block` and `place` as `identity` has them."""
        attributes: Attributes = {
            "hookfarm.place": str(place),
            "hookfarm.removed": removed,
            "hookfarm.endpoints": endpoints,
        }
        own, parent = match_span(block, place, removed), block_span(block).span
        self._start("match", own, parent, SpanKind.CONSUMER, attributes, read_ns).end()

    def attempt(
        self, webhook_id: str, endpoint_id: str, number: int, body: bytes, host: str, port: int
    ) -> "AttemptSpan":
        """A POST that begins now. Of the URL it says no more than where it leads to."""
        attributes: Attributes = {
            "hookfarm.delivery": webhook_id,
            "hookfarm.endpoint": endpoint_id,
            "hookfarm.attempt": number,
            "http.request.method": "POST",
            "server.address": host,
            "server.port": port,
        }
        parent = parent_of_attempt(body)
        trace = foreign_trace(webhook_id) if parent is None else parent.trace
        own = SpanId(trace, self._ids.random_span())
        above = None if parent is None else parent.span
        return AttemptSpan(self._start("attempt", own, above, SpanKind.CLIENT, attributes, time.time_ns()))

    def close(self, child: Child) -> None:
        """Sends what is left: not where the collector is away anyway, not beyond the child's grace."""
        if self._exporter.failing:
            return
        child.slot.promise(FLUSH_SECONDS + 0.5)
        until = time.monotonic() + FLUSH_SECONDS
        with signals_blocked():
            sending = threading.Thread(target=self._provider.shutdown, name="last spans", daemon=True)
            sending.start()
        while sending.is_alive() and time.monotonic() < until and not child.out_of_grace:
            sending.join(_LOOK_SECONDS)
        if sending.is_alive():
            self._exporter.shutdown()  # It does not try again.

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
    """One POST under way."""

    span: Span

    @property
    def header(self) -> bytes:
        """The header line that lets the receiver go on with the trace (W3C Trace Context, `traceparent`)."""
        context = self.span.get_span_context()
        if not context.is_valid:
            return b""
        return b"traceparent: 00-%032x-%016x-%02x\r\n" % (context.trace_id, context.span_id, context.trace_flags)

    def end(self, status: int | None, error: str | None) -> None:
        """`status`, where there was an answer; `error`, a word, where it did not deliver."""
        if status is not None:
            self.span.set_attribute("http.response.status_code", status)
        if error is not None:
            self.span.set_attribute("error.type", error)
            self.span.set_status(Status(StatusCode.ERROR))
        self.span.end()


class _Ids(IdGenerator):
    """Gives the span that starts next the ids that were derived for it."""

    def __init__(self) -> None:
        self.next = SpanId(0, 0)
        self._random = RandomIdGenerator()

    def generate_trace_id(self) -> int:
        return self.next.trace

    def generate_span_id(self) -> int:
        return self.next.span

    def random_span(self) -> int:
        return self._random.generate_span_id()
