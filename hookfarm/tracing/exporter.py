"""Sending spans to the collector, on a thread of its own; a collector that is away costs nothing but the spans."""

from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from hookfarm import logs
from hookfarm.security.redaction import origin


class EdgeLoggingExporter(SpanExporter):
    """An OTLP exporter that says once that the collector is away, and once that it is back.

    What it needs besides the address (headers with a token, certificates, time-outs) comes from the variables
    OTEL_EXPORTER_OTLP_…, which OpenTelemetry reads itself.
    """

    def __init__(self, url: str, service: str) -> None:
        self._collector = OTLPSpanExporter(endpoint=url)
        self._origin = origin(url)
        self._log = logs.get(service)
        self._lost = 0
        self.failing = False
        """Whether the last spans could not be sent."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._collector.export(spans)
        if result is SpanExportResult.SUCCESS:
            if self.failing:
                self._log.info("traces sent again", collector=self._origin, spans_lost=self._lost)
            self.failing, self._lost = False, 0
            return result
        self._lost += len(spans)
        if not self.failing:
            self._log.warning("traces not sent", collector=self._origin, consequence="spans are lost")
        self.failing = True
        return result

    def shutdown(self) -> None:
        self._collector.shutdown()  # type: ignore[no-untyped-call]
