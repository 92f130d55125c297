"""An attempt with a span around it, where traces are wanted."""

import time
from typing import TYPE_CHECKING

from hookfarm.delivery_queue.job import Taken
from hookfarm.http_client.deadline import Interrupted
from hookfarm.http_client.outcome import Response, Result
from hookfarm.http_client.request import Prepared
from hookfarm.http_client.transport import Transport

if TYPE_CHECKING:
    from hookfarm.tracing.spans import AttemptSpan, Spans


def post(spans: "Spans", transport: Transport, taken: Taken, prepared: Prepared) -> Result:
    """As `transport.post` does it; the request tells the endpoint which span it is in."""
    target = prepared.target
    span = spans.attempt(taken.id, taken.endpoint, taken.attempt, taken.body, target.host, target.port)
    request = prepared.request(taken, time.time(), span.header)
    try:
        result = transport.post(target, request, prepared.endpoint.timeout_seconds)
    except Interrupted:
        span.end(None, "interrupted")
        raise
    _end(span, result)
    return result


def _end(span: "AttemptSpan", result: Result) -> None:
    if isinstance(result, Response):
        span.end(result.status, None if 200 <= result.status < 300 else str(result.status))
    else:
        span.end(None, result.kind)
