"""Traces for OpenTelemetry: a block's way from the node to the endpoints.

    block      event_ingestor      the block's head was seen -> its events are in the stream
    └ match    message_processor   an event was read -> its jobs are enqueued
      └ attempt  webhook_delivery  one POST and its result

Events and jobs carry no trace fields, because their format is a contract. A trace's id is a hash of the chain's id
and the block's hash; the id of a span with children is a hash of its subject. So every process derives the ids
from its records. All processes sample the same blocks, and a retry a day later joins its trace.

Consequences: a repeated span has the same id (a block that returns after a reorg, entries enqueued again because
Redis died before its reply). The parent of a backfill's attempt may never have been traced. Attempts of a foreign
element form a trace without a block.

OpenTelemetry is imported only if tracing is enabled. The master imports it before the forks, so that all processes
share its 15 MB. (redis-py imports its metrics if they are installed; hookfarm does not use them.)
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from hookfarm.config import Config
from hookfarm.errors import InvalidInput
from hookfarm.farm.child import Child

if TYPE_CHECKING:
    from hookfarm.tracing.spans import Spans

_SPANS = "hookfarm.tracing.spans"
_PATH = "/v1/traces"


@dataclass(frozen=True)
class TracingSettings:
    """Settings of tracing: the URL of the collector (OTLP over HTTP), and the ratio of traced blocks."""

    url: str
    sample_ratio: float


def tracing_settings(config: Config) -> TracingSettings | None:
    """Return the settings; None if tracing is disabled. Raises InvalidInput if the extra is not installed."""
    if config.otel_endpoint is None:
        return None
    try:
        import_module(_SPANS).load()
    except ImportError as error:
        raise InvalidInput(
            "otel-endpoint", f"traces need a missing package ({error.name}): pip install 'hookfarm[otel]'"
        ) from error
    base = config.otel_endpoint.removesuffix("/").removesuffix(_PATH)
    return TracingSettings(base + _PATH, config.otel_sample_ratio)


@contextlib.contextmanager
def open_spans(tracing: TracingSettings | None, child: Child) -> Iterator["Spans | None"]:
    """Yield the spans of a child after its fork. Leaving the context sends the last spans, within
    FLUSH_SECONDS."""
    if tracing is None:
        yield None
        return
    spans: Spans = import_module(_SPANS).Spans(tracing.url, tracing.sample_ratio, child.service)
    try:
        yield spans
    finally:
        spans.close(child)
