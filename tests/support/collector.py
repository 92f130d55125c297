"""An OpenTelemetry collector for tests: receives spans over OTLP/HTTP on loopback and stores them."""

import contextlib
import gzip
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.support.waiting import PATIENCE_SECONDS, eventually


@dataclass(frozen=True)
class Arrived:
    """A received span; ids in hexadecimal, `parent` empty for a root."""

    name: str
    service: str
    trace: str
    id: str
    parent: str
    attributes: dict[str, str | int | bool]
    failed: bool
    start_ns: int
    end_ns: int


class Collector:
    """A collector that stores spans from /v1/traces. With `status` it answers that status and stores nothing."""

    def __init__(self) -> None:
        self.spans: list[Arrived] = []
        self.requests = 0
        self.status = 200
        self.answering = threading.Event()
        """If cleared, requests are accepted but not answered."""
        self.answering.set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="collector")
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def named(self, name: str) -> list[Arrived]:
        return [span for span in list(self.spans) if span.name == name]

    def wait_for(self, within: float = PATIENCE_SECONDS, **counts: int) -> None:
        """Wait for at least this many spans by name: `wait_for(block=1, attempt=2)`."""
        for name, count in counts.items():
            eventually(partial(self._has, name, count), within, f"{count} spans {name}")

    def _has(self, name: str, count: int) -> bool:
        return len(self.named(name)) >= count

    def close(self) -> None:
        self.answering.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.requests += 1
                collector.answering.wait(30)
                if self.path != "/v1/traces":
                    self._answer(404)
                    return
                if collector.status == 200:
                    packed = self.headers.get("content-encoding") == "gzip"
                    collector.spans.extend(_spans(gzip.decompress(body) if packed else body))
                self._answer(collector.status)

            def _answer(self, status: int) -> None:
                with contextlib.suppress(OSError):  # The client may have disconnected.
                    self.send_response(status)
                    self.send_header("content-length", "0")
                    self.end_headers()

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        return Handler


def _spans(body: bytes) -> list[Arrived]:
    found = []
    for sent in ExportTraceServiceRequest.FromString(body).resource_spans:
        about = {a.key: a.value.string_value for a in sent.resource.attributes}
        for scope in sent.scope_spans:
            found += [_arrived(span, about["service.name"]) for span in scope.spans]
    return found


def _arrived(span: Span, service: str) -> Arrived:
    return Arrived(
        name=span.name,
        service=service,
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        attributes={
            a.key: getattr(a.value, a.value.WhichOneof("value") or "string_value") for a in span.attributes
        },
        failed=span.status.code == Status.STATUS_CODE_ERROR,
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
    )


@contextlib.contextmanager
def running_collector() -> Iterator[Collector]:
    """Run a collector during the context."""
    collector = Collector()
    try:
        yield collector
    finally:
        collector.close()
