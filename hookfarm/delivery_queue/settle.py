"""Settlements: results of claimed jobs, written to the ledger in batches."""

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
"""Result of a settlement whose endpoint must be disabled."""
ERROR = "error "
"""Prefix of the result of a failed settlement; the error message follows."""
_FOREVER_SECONDS = 100 * 365 * 86_400.0

SETTLE = Script("settle")


class Attempt(NamedTuple):
    """An attempt for the delivery log: number, HTTP status or kind of the transport error, duration.

    `outcome` contains all details.
    """

    number: int
    status: int | str
    duration_ms: int
    outcome: dict[str, Any]


class HealthSignal(StrEnum):
    """Effect of a failed attempt on its endpoint's circuit breaker."""

    UNHEALTHY = "unhealthy"
    """A transport error, a 5xx or a 429: counts as a failure of the endpoint."""
    HEALTHY = "healthy"
    """Any other status, such as 404: the endpoint works."""
    UNKNOWN = "unknown"
    """The job was not posted."""


@dataclass(slots=True)
class Settlement:
    """Settlement of one job; kept until Redis has confirmed it."""

    sequence: int
    endpoint: str
    arguments: tuple[Argument, ...] = field(repr=False)


def settle_arguments(
    settlements: Sequence[Settlement], logged_attempts: int, disable_after_seconds: float = math.inf
) -> list[Argument]:
    """Return the arguments of SETTLE, which returns one result per settlement.

    `logged_attempts` is the maximum number of attempts in the delivery log per endpoint. The result is
    DISABLE_ENDPOINT after `disable_after_seconds` of failures without a success.
    """
    arguments: list[Argument] = [logged_attempts, int(min(disable_after_seconds, _FOREVER_SECONDS) * 1000)]
    for settlement in settlements:
        arguments += settlement.arguments
    return arguments


def delivered(job: ClaimedJob, attempt: Attempt) -> Settlement:
    """Record a delivery; the job stays in the ledger until the delivery log is trimmed. Idempotent."""
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
