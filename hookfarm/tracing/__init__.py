"""Traces for OpenTelemetry: a block's way from the node to the endpoints.

    block      event_ingestor      the block's head was seen -> its events stand in the stream
    └ match    message_processor   an event was read -> its jobs are handed off
      └ attempt  webhook_delivery  one POST and its result

Nothing of this travels with events and jobs, whose form is a contract. A trace's id is a hash of the chain's id
and the block's, and that of each span with children a hash of what it is about; so every process knows them from
the records it has anyway, all decide alike which blocks are sampled, and a retry a day later joins its trace.

The price: a span that happens twice (a block that comes back after a reorg, entries handed off again because Redis
died while replying) has the same id both times, and what a backfill sends has a parent that may never have been
traced. A foreign element of the queue belongs to no block: its attempts are a trace of their own.

OpenTelemetry is imported only if tracing is enabled: in the master, before the forks, so that all processes share
its 15 MB. (redis-py imports its metrics wherever it finds them installed; hookfarm does not use them.)
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
    """Return the settings, None if tracing is disabled. Raises InvalidInput if the extra is missing."""
    if config.otel_endpoint is None:
        return None
    try:
        import_module(_SPANS).load()
    except ImportError as error:
        raise InvalidInput(
            "otel-endpoint", f"traces need what is not installed ({error.name}): pip install 'hookfarm[otel]'"
        ) from error
    base = config.otel_endpoint.removesuffix("/").removesuffix(_PATH)
    return TracingSettings(base + _PATH, config.otel_sample_ratio)


@contextlib.contextmanager
def open_spans(tracing: TracingSettings | None, child: Child) -> Iterator["Spans | None"]:
    """Yield the spans of a child after its fork. At the end the last ones are sent, if that is quick."""
    if tracing is None:
        yield None
        return
    spans: Spans = import_module(_SPANS).Spans(tracing.url, tracing.sample_ratio, child.service)
    try:
        yield spans
    finally:
        spans.close(child)
