"""Settlements: the results of claimed jobs, sent to the ledger in batches."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

import orjson

from hookfarm.delivery_queue.job import ClaimedJob
from hookfarm.store.clients import Argument
from hookfarm.store.scripts import Script

DISABLE_ENDPOINT = "disable_endpoint"
"""The result of a settlement whose endpoint has only failed for too long."""
ERROR = "error "
"""The beginning of the result of a settlement that could not be done; the error follows."""
_FOREVER_SECONDS = 100 * 365 * 86_400.0

SETTLE = Script("settle")


class Attempt(NamedTuple):
    """One POST as the log keeps it: its number, an HTTP status or the kind of its error, and its duration.

    `outcome` is the same with all details.
    """

    number: int
    status: int | str
    duration_ms: int
    outcome: dict[str, Any]


class HealthSignal(StrEnum):
    """Evidence of a failed attempt about its endpoint, for the circuit breaker."""

    UNHEALTHY = "unhealthy"
    """No response, a 5xx or a 429."""
    HEALTHY = "healthy"
    """A response of a server that works, such as a 404."""
    UNKNOWN = "unknown"
    """Nothing was sent."""


@dataclass(slots=True)
class Settlement:
    """The settlement of one job; kept until Redis has confirmed it."""

    sequence: int
    endpoint: str
    arguments: tuple[Argument, ...] = field(repr=False)


def settle_arguments(
    settlements: Sequence[Settlement], logged_attempts: int, disable_after_seconds: float = math.inf
) -> list[Argument]:
    """Return the arguments of SETTLE, which returns a result for each settlement.

    `logged_attempts`: how many attempts the delivery log keeps for one endpoint. An endpoint that has only failed
    for `disable_after_seconds` has the result DISABLE_ENDPOINT.
    """
    arguments: list[Argument] = [logged_attempts, int(min(disable_after_seconds, _FOREVER_SECONDS) * 1000)]
    for settlement in settlements:
        arguments += settlement.arguments
    return arguments


def delivered(job: ClaimedJob, attempt: Attempt) -> Settlement:
    """Record the delivery: the job stays in the ledger until the delivery log is trimmed. Idempotent."""
    return _settlement("delivered", job, orjson.dumps(attempt.outcome), attempt)


def failed(
    job: ClaimedJob,
    stored: bytes,
    retry_in_seconds: float | None,
    signal: HealthSignal = HealthSignal.UNHEALTHY,
    attempt: Attempt | None = None,
) -> Settlement:
    """Store the job as `stored` for another attempt, or as a dead letter if `retry_in_seconds` is None.

    Does nothing if the job was requeued in the meantime.
    """
    wait = "" if retry_in_seconds is None else int(retry_in_seconds * 1000)
    return _settlement(signal.value, job, stored, attempt, wait)


def returned(job: ClaimedJob, interrupted: bool = False) -> Settlement:
    """Put the job back into the list, unattempted or `interrupted` in its attempt.

    Does nothing if the job was requeued in the meantime.
    """
    return _settlement("returned", job, job.with_fields(interrupted=True) if interrupted else b"")


def parked(job: ClaimedJob) -> Settlement:
    """Keep the job, unattempted, until its endpoint is enabled.

    Does nothing if the job was requeued in the meantime.
    """
    return _settlement("parked", job, b"")


def _settlement(
    kind: str, job: ClaimedJob, stored: bytes, attempt: Attempt | None = None, wait: str | int = ""
) -> Settlement:
    number, status, duration_ms, _ = attempt or (0, "", 0, None)
    arguments = (kind, job.id, job.sequence, job.endpoint, stored, number, status, duration_ms, wait)
    return Settlement(job.sequence, job.endpoint, arguments)
