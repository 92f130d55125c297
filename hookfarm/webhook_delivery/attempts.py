"""Attempts of a delivery process: each claimed job becomes a POST, each result a settlement.

Each attempt has one log line, action `attempt`, always with these fields:

    outcome      delivered, retry (failed, to be retried) or dead (failed, now a dead letter)
    delivery     the webhook-id
    endpoint     the endpoint's id
    attempt      the number of the attempt, as in webhook-attempt
    status       the HTTP status; null after a transport error
    error        the transport error, one of TRANSPORT_ERRORS; null after a response
    duration_ms  duration of the POST, from name resolution to the end of the response
    queued_ms    time from the job's last entry into the queue to the POST
    bytes_sent   length of the body
    retry_in_s   seconds until the next attempt; null after the last one
    detail       the beginning of the response, or the error message; null if delivered
    worker       index of the delivery process

A failed attempt is a warning and is always logged. A successful one is info, logged only if the setting
`log_attempts` is `all`. A line costs 25 us: at 5,000 attempts a second, an eighth of a core.
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from hookfarm import delivery_queue, logs
from hookfarm.delivery_queue import Attempt, HealthSignal, Settlement
from hookfarm.delivery_queue.job import ClaimedJob
from hookfarm.farm.child import Child
from hookfarm.http_client import outcome
from hookfarm.http_client.exchange import Exchange
from hookfarm.http_client.outcome import Decision, Result
from hookfarm.http_client.request import CompiledEndpoint
from hookfarm.http_client.transport import Transport
from hookfarm.webhook_delivery import telemetry
from hookfarm.webhook_delivery.endpoints import Compiled

if TYPE_CHECKING:
    from hookfarm.tracing.spans import AttemptSpan, Spans

MAX_DETAIL_CHARACTERS = 200
"""Maximum length of `detail` in a log line."""

log = logs.get("webhook_delivery")


@dataclass(frozen=True)
class AttemptPolicy:
    """Settings of attempts."""

    retry_schedule: Sequence[float]
    log_delivered: bool = False
    """Log successful attempts, too; failed ones are always logged."""


@dataclass(slots=True)
class AttemptUnderWay:
    """One POST in flight."""

    job: ClaimedJob
    endpoint: CompiledEndpoint
    began_ns: int
    span: "AttemptSpan | None"
    exchange: Exchange | None = None


class Attempts:
    """All POSTs in flight of one process."""

    def __init__(
        self,
        child: Child,
        transport: Transport,
        policy: AttemptPolicy,
        settle: Callable[[Settlement], None],
        disable: Callable[[str, str], None],
        spans: "Spans | None" = None,
    ) -> None:
        """`settle` is called once for each job passed to `begin`.

        `disable` is called with the id of an endpoint to disable and the reason.
        """
        self._child = child
        self._slot = child.slot
        self._transport = transport
        self._policy = policy
        self._settle = settle
        self._disable = disable
        self._spans = spans
        self._under_way: dict[int, AttemptUnderWay] = {}
        self._slot.set_counter(telemetry.IN_FLIGHT, 0)

    def __len__(self) -> int:
        return len(self._under_way)

    def begin(self, job: ClaimedJob, compiled: Compiled) -> None:
        """Post the job. If that is impossible, settle it at once."""
        if not isinstance(compiled, CompiledEndpoint):
            self.dead_letter(job, "endpoint_removed" if compiled is None else f"endpoint_invalid: {compiled}")
        elif not compiled.endpoint.enabled:
            self._settle(delivery_queue.parked(job))
        else:
            self._post(job, compiled)

    def give_back(self, job: ClaimedJob, interrupted: bool = False) -> None:
        """Return a job to the queue, unattempted or with an `interrupted` attempt."""
        self._settle(delivery_queue.returned(job, interrupted))
        self._slot.add(telemetry.RETURNED)

    def interrupt(self) -> None:
        """Cancel all attempts and return their jobs to the queue."""
        for attempt in list(self._under_way.values()):
            assert attempt.exchange is not None
            attempt.exchange.cancel()
            self._end(attempt, None, "interrupted")
            self.give_back(attempt.job, interrupted=True)

    def dead_letter(self, job: ClaimedJob, reason: str) -> None:
        """Settle the job as a dead letter without an attempt."""
        self._count_death(job, reason)
        stored = job.with_outcome({"at": round(time.time(), 3), "error": reason}, reason=reason)
        self._settle(delivery_queue.failed(job, stored, None, HealthSignal.UNKNOWN))

    def _post(self, job: ClaimedJob, compiled: CompiledEndpoint) -> None:
        target = compiled.target
        span = self._spans.attempt(job, target.host, target.port) if self._spans else None
        request = compiled.request(job, time.time(), span.header if span else b"")
        attempt = AttemptUnderWay(job, compiled, time.monotonic_ns(), span)
        self._under_way[job.sequence] = attempt
        self._slot.set_counter(telemetry.IN_FLIGHT, len(self._under_way))
        on_result = partial(self._on_result, attempt)
        attempt.exchange = self._transport.send(target, request, compiled.endpoint.timeout_seconds, on_result)

    def _on_result(self, attempt: AttemptUnderWay, _exchange: Exchange, raw: Result) -> None:
        duration_us = (time.monotonic_ns() - attempt.began_ns) // 1000
        result = raw.redacted(attempt.endpoint.secrets) if raw.may_echo else raw
        self._end(attempt, result.status, None if result.is_success else str(result.status_or_error))
        self._slot.add(telemetry.POST_TIMES + telemetry.bucket(duration_us))
        self._slot.add(telemetry.POST_MICROSECONDS, duration_us)
        self._record(attempt.job, result, duration_us)

    def _end(self, attempt: AttemptUnderWay, status: int | None, error: str | None) -> None:
        del self._under_way[attempt.job.sequence]
        self._slot.set_counter(telemetry.IN_FLIGHT, len(self._under_way))
        if attempt.span is not None:
            attempt.span.end(status, error)

    def _record(self, job: ClaimedJob, result: Result, duration_us: int) -> None:
        now = time.time()
        schedule = self._policy.retry_schedule
        decision = outcome.decide(result, job.attempt_since_redrive, schedule, random.random(), now)
        attempt = Attempt(
            job.attempt,
            result.status_or_error,
            duration_us // 1000,
            {"at": round(now, 3), "duration_ms": duration_us // 1000, **result.to_record()},
        )
        if self._policy.log_delivered or not decision.delivered:
            log_attempt(self._child.index, job, attempt, duration_us, now, decision)
        if decision.delivered:
            self._settle(delivery_queue.delivered(job, attempt))
            self._count_delivered(job, now)
            return
        self._slot.add(telemetry.FAILED)
        self._slot.add(telemetry.failure(result.metric_label))
        self._fail(job, decision, attempt, result.health_signal)
        if decision.disable_endpoint:
            self._disable(job.endpoint, "the endpoint answered 410 Gone")

    def _count_delivered(self, job: ClaimedJob, now: float) -> None:
        self._slot.add(telemetry.DELIVERED)
        if job.attempt == 1:
            queued_us = max(0, int(now * 1e6) - job.sequence)
            self._slot.add(telemetry.QUEUE_TIMES + telemetry.bucket(queued_us))
            self._slot.add(telemetry.QUEUE_MICROSECONDS, queued_us)

    def _fail(self, job: ClaimedJob, decision: Decision, attempt: Attempt, signal: HealthSignal) -> None:
        retry_in = decision.retry_in_seconds
        changes: dict[str, str | int] = {"attempt": job.attempt + 1}
        if retry_in is None:
            reason = decision.reason or ""
            changes = {"reason": reason}
            self._count_death(job, reason)
        else:
            self._slot.add(telemetry.RETRIES)
        stored = job.with_outcome(attempt.outcome, **changes)
        self._settle(delivery_queue.failed(job, stored, retry_in, signal, attempt))

    def _count_death(self, job: ClaimedJob, reason: str) -> None:
        self._slot.add(telemetry.DEAD)
        self._slot.add(telemetry.death(reason))
        log.error("dead letter", delivery=job.id, endpoint=job.endpoint, reason=reason)


def log_attempt(
    worker: int,
    job: ClaimedJob,
    attempt: Attempt,
    duration_us: int,
    ended: float,
    decision: Decision,
) -> None:
    """Write the log line of an attempt that ended at `ended` (Unix time)."""
    retry_in = decision.retry_in_seconds
    queued_us = max(0, int(ended * 1e6) - duration_us - job.sequence)
    failed = "dead" if retry_in is None else "retry"
    write_line = log.info if decision.delivered else log.warning
    write_line(
        "attempt",
        outcome="delivered" if decision.delivered else failed,
        delivery=job.id,
        endpoint=job.endpoint,
        attempt=attempt.number,
        status=attempt.outcome.get("status"),
        error=attempt.outcome.get("error"),
        duration_ms=round(duration_us / 1000, 1),
        queued_ms=round(queued_us / 1000, 1),
        bytes_sent=len(job.body),
        retry_in_s=None if retry_in is None else round(retry_in, 1),
        detail=None if decision.delivered else str(attempt.outcome["detail"])[:MAX_DETAIL_CHARACTERS],
        worker=worker,
    )
