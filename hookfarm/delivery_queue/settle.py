"""Settlements: a worker's record of an attempt's outcome, sent to the ledger."""

import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

import orjson

from hookfarm.delivery_queue.job import ClaimedJob
from hookfarm.store.clients import PipelinedConnection, ResponseError
from hookfarm.store.scripts import Script

DISABLE_ENDPOINT = "disable_endpoint"
"""The reply to a settlement whose endpoint has only failed for too long."""
STALE = "stale"
"""The reply to a settlement that did nothing: the job was requeued in the meantime."""
_FOREVER_SECONDS = 100 * 365 * 86_400.0

_SETTLE_DELIVERED = Script("settle_delivered")
_SETTLE_FAILED = Script("settle_failed")
_RETURN_JOB = Script("return_job")
_PARK = Script("park")
SCRIPTS = (_SETTLE_DELIVERED, _SETTLE_FAILED, _RETURN_JOB, _PARK)


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
    """The packed command that settles one job; kept until Redis has confirmed it."""

    script: Script
    packed: bytes = field(repr=False)
    endpoint: str = ""


def read_settlement(connection: PipelinedConnection) -> str | None:
    """Read the reply to a settlement. Returns None if it was not done and must be sent again."""
    reply = connection.receive()
    return None if isinstance(reply, ResponseError) else str(reply, "ascii")


def settle_sync(connection: PipelinedConnection, settlement: Settlement) -> str:
    """Settle in a round trip of its own, which also loads the script; return the reply."""
    connection.send(settlement.script.encode_load() + settlement.packed)
    connection.receive()
    reply = connection.receive()
    if isinstance(reply, ResponseError):
        raise reply
    return str(reply, "ascii")


def delivered(job: ClaimedJob, attempt: Attempt, keep: int) -> Settlement:
    """Move the job from the ledger to the delivery log, which keeps `keep` attempts an endpoint. Idempotent."""
    outcome = orjson.dumps(attempt.outcome)
    arguments = (job.id, job.endpoint, keep, outcome, attempt.number, attempt.status, attempt.duration_ms)
    return Settlement(_SETTLE_DELIVERED, _SETTLE_DELIVERED.encode((), arguments), job.endpoint)


def failed(
    job: ClaimedJob,
    stored: bytes,
    retry_in_seconds: float | None,
    signal: HealthSignal = HealthSignal.UNHEALTHY,
    attempt: Attempt | None = None,
    keep: int = 0,
    disable_after_seconds: float = math.inf,
) -> Settlement:
    """Store the job as `stored` for another attempt, or as a dead letter if `retry_in_seconds` is None.

    Does nothing if the job was requeued in the meantime. The reply is DISABLE_ENDPOINT if the endpoint has only
    failed for `disable_after_seconds`.
    """
    wait = "" if retry_in_seconds is None else int(retry_in_seconds * 1000)
    disable_after_ms = int(min(disable_after_seconds, _FOREVER_SECONDS) * 1000)
    logged = (keep, attempt.number, attempt.status, attempt.duration_ms) if attempt else (0, 0, "", 0)
    arguments = (job.id, job.sequence, job.endpoint, stored, wait, signal.value, disable_after_ms, *logged)
    return Settlement(_SETTLE_FAILED, _SETTLE_FAILED.encode((), arguments), job.endpoint)


def returned(job: ClaimedJob, interrupted: bool = False) -> Settlement:
    """Put the job back into the list, unattempted or `interrupted` in its attempt.

    Does nothing if the job was requeued in the meantime.
    """
    changed = (job.with_fields(interrupted=True),) if interrupted else ()
    return Settlement(_RETURN_JOB, _RETURN_JOB.encode((), (job.id, job.sequence, *changed)), job.endpoint)


def parked(job: ClaimedJob) -> Settlement:
    """Keep the job, unattempted, until its endpoint is enabled.

    Does nothing if the job was requeued in the meantime.
    """
    return Settlement(_PARK, _PARK.encode((), (job.id, job.sequence, job.endpoint)), job.endpoint)
