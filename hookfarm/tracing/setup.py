"""Whether there are traces at all, and their beginning and end in each process.

Imports nothing of OpenTelemetry until it is wanted, which it is in the master, before the forks: 15 MB that all
processes then share.
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
class Tracing:
    """Where spans go (OTLP over HTTP, the whole URL), and which part of all blocks is traced."""

    url: str
    sample_ratio: float


def tracing(config: Config) -> Tracing | None:
    """None = no traces are wanted. InvalidInput where they are and the extra is not installed."""
    if config.otel_endpoint is None:
        return None
    try:
        import_module(_SPANS).load()
    except ImportError as error:
        raise InvalidInput(
            "otel-endpoint", f"traces need what is not installed ({error.name}): pip install 'hookfarm[otel]'"
        ) from error
    base = config.otel_endpoint.removesuffix("/").removesuffix(_PATH)
    return Tracing(base + _PATH, config.otel_sample_ratio)


@contextlib.contextmanager
def opened(wanted: Tracing | None, child: Child) -> Iterator["Spans | None"]:
    """The spans of a child's life, after its fork; at the end those still here are sent, if that is quick."""
    if wanted is None:
        yield None
        return
    spans: Spans = import_module(_SPANS).Spans(wanted.url, wanted.sample_ratio, child.service)
    try:
        yield spans
    finally:
        spans.close(child)
