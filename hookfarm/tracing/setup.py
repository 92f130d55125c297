"""Setup of tracing in the master and in each process.

OpenTelemetry is imported only if tracing is enabled: in the master, before the forks, so that all processes share
its 15 MB.
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
