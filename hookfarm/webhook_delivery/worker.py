"""A delivery process: one connection to Redis, one job at a time, one round trip for each.

1. It enters BRPOP and, in the same write, is counted as polling.
2. It takes a job, posts it under one deadline, and keeps the outcome.
3. The outcome goes out with the next BRPOP, in one write: settle, pop.
4. On a stop it finishes its POST, returns any job it pops in the meantime, settles, and exits.

A SIGKILL between pop and settle leaves the job open in the ledger, where the sweep finds it; a POST that was
answered just before is then made again with the same webhook-id. After any error on the connection to Redis the
outcome is settled first on the next one, and a job that arrives too late to be certainly ours (the fence) is
returned instead of posted.
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hookfarm import delivery_queue, logs
from hookfarm.delivery_queue import Attempt, HealthSignal, JobSource, SourceEvents
from hookfarm.delivery_queue.job import ClaimedJob
from hookfarm.errors import NotFound
from hookfarm.farm.child import Child
from hookfarm.farm.scoreboard import State
from hookfarm.http_client import outcome
from hookfarm.http_client.deadline import Interrupted
from hookfarm.http_client.outcome import Decision, Result
from hookfarm.http_client.request import CompiledEndpoint
from hookfarm.http_client.transport import Transport
from hookfarm.outage import Outage
from hookfarm.registry.store import Registry
from hookfarm.store import clients
from hookfarm.store.clients import PipelinedConnection, RedisError
from hookfarm.webhook_delivery import attempt_log, telemetry
from hookfarm.webhook_delivery.endpoints import EndpointCache

if TYPE_CHECKING:
    from hookfarm.tracing.spans import Spans

log = logs.get("webhook_delivery")

POLL_HEARTBEAT_SECONDS = delivery_queue.BLOCK_SECONDS + 0.25
POST_SLACK_SECONDS = 0.25
_REDIS = "redis"


@dataclass(frozen=True)
class Policy:
    """The settings a worker decides by."""

    retry_schedule: Sequence[float]
    polling_counter: str
    """The key that counts the workers of this run that have entered BRPOP."""
    logged_attempts: int
    """How many attempts the delivery log keeps for one endpoint; 0 = none."""
    disable_after_seconds: float
    """An endpoint that has only failed for so long is disabled."""
    log_delivered: bool = False
    """Whether successful attempts are logged, too; failed ones always are."""


@dataclass(frozen=True)
class WorkerResources:
    """Connections of one worker, made after its fork."""

    connection: PipelinedConnection
    endpoints: EndpointCache
    transport: Transport
    connect_registry: Callable[[], Registry]
    """Called only to disable an endpoint."""
    spans: "Spans | None" = None


class Worker:
    """One delivery process. `iterate` handles one job, or waits a second for one."""

    def __init__(self, child: Child, resources: WorkerResources, policy: Policy) -> None:
        self._child = child
        self._slot = child.slot
        self._resources = resources
        self._connection = resources.connection
        self._policy = policy
        events = SourceEvents(
            on_polling=self._mark_up,
            on_settled=self._clear_held_job,
            on_adopted=lambda: self._slot.add(telemetry.ADOPTED),
            on_rejected=lambda: self._slot.add(telemetry.death("garbage")),
        )
        self._source = JobSource(self._connection, policy.polling_counter, events)
        self._slot_may_hold_job = True
        """A predecessor in this slot may have died with a job."""
        self._polled_ns = 0
        self._outage = Outage(child, log, child=child.name)

    def run(self) -> None:
        """Handle jobs until the child is stopped; survives outages of Redis."""
        while not self._child.stopping:
            try:
                self.iterate()
                # A connection proves nothing: a server that refuses BRPOP (wrong type, replica) accepts it.
                self._outage.recover(_REDIS)
            except RedisError as error:
                wait = self._on_redis_error(error)
                self._slot.heartbeat(wait + POLL_HEARTBEAT_SECONDS)
                self._child.wait(wait)
        self._finish()

    def iterate(self) -> None:
        """Settle the last job, take the next, attempt it. RedisError: the connection is closed."""
        if not self._source.is_connected:
            self._connect()
        self._mark_polling()
        job = self._source.take()
        if job is not None:
            self._handle(job)
        if self._source.endpoint_to_disable is not None:
            days = self._policy.disable_after_seconds / 86400
            self._disable(self._source.endpoint_to_disable, f"nothing but failures for {days:g} days")
            self._source.endpoint_to_disable = None

    def _handle(self, job: ClaimedJob) -> None:
        self._slot.set_counter(telemetry.HELD_SEQUENCE, job.sequence)
        self._slot.activity = telemetry.POSTING
        late = time.monotonic_ns() - self._polled_ns > delivery_queue.FENCE_SECONDS * 1e9
        if late or self._child.stopping:
            self._return(job)
        else:
            self._deliver(job)

    def _mark_polling(self) -> None:
        """For the sweep, before the BRPOP is sent: a job popped by an earlier BRPOP is held visibly, or lost."""
        self._polled_ns = time.monotonic_ns()
        self._slot.set_counter(telemetry.POLLED_NS, self._polled_ns)
        self._slot.activity = telemetry.POLLING
        self._slot.heartbeat(POLL_HEARTBEAT_SECONDS)

    def _mark_up(self) -> None:
        if not self._outage.is_ongoing:
            self._child.mark_up()

    def _clear_held_job(self) -> None:
        """Only after Redis has confirmed the settlement; until then the job must not look like an orphan."""
        self._slot.set_counter(telemetry.HELD_SEQUENCE, 0)

    def _connect(self) -> None:
        self._slot.set_counter(telemetry.CLIENT_ID, self._source.connect())
        if self._slot_may_hold_job:
            self._requeue_inherited()
        self._source.settle_pending()

    def _requeue_inherited(self) -> None:
        """Requeue at once what the predecessor in this slot held when it died, without waiting for the sweep."""
        sequence = self._slot.counter(telemetry.HELD_SEQUENCE)
        for job_id in delivery_queue.requeue_crashed(self._connection, sequence) if sequence else ():
            self._slot.add(telemetry.ORPHANS)
            log.warning("orphan requeued", delivery=job_id, child=self._child.name)
        self._slot.set_counter(telemetry.HELD_SEQUENCE, 0)
        self._slot_may_hold_job = False

    def _deliver(self, job: ClaimedJob) -> None:
        compiled = self._resources.endpoints.get(job.endpoint, self._source.registry_revision)
        if not isinstance(compiled, CompiledEndpoint):
            reason = "endpoint_removed" if compiled is None else f"endpoint_invalid: {compiled}"
            self._dead_letter(job, reason)
            return
        if not compiled.endpoint.enabled:
            self._source.settle(delivery_queue.parked(job))
            return
        self._slot.heartbeat(compiled.endpoint.timeout_seconds + POST_SLACK_SECONDS)
        began = time.monotonic_ns()
        try:
            result = self._post(job, compiled).redacted(compiled.secrets)
        except Interrupted:
            self._return(job, interrupted=True)
            return
        duration_us = (time.monotonic_ns() - began) // 1000
        self._slot.add(telemetry.POST_TIMES + telemetry.bucket(duration_us))
        self._slot.add(telemetry.POST_MICROSECONDS, duration_us)
        self._record_result(job, result, duration_us)

    def _post(self, job: ClaimedJob, compiled: CompiledEndpoint) -> Result:
        transport, spans = self._resources.transport, self._resources.spans
        if spans is not None:
            return spans.post(transport, job, compiled)
        request = compiled.request(job, time.time())
        return transport.post(compiled.target, request, compiled.endpoint.timeout_seconds)

    def _record_result(self, job: ClaimedJob, result: Result, duration_us: int) -> None:
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
            attempt_log.write(log, self._child.index, job, attempt, duration_us, now, decision)
        if decision.delivered:
            self._source.settle(delivery_queue.delivered(job, attempt, self._policy.logged_attempts))
            self._slot.add(telemetry.DELIVERED)
            if job.attempt == 1:
                queued_us = max(0, int(now * 1e6) - job.sequence)
                self._slot.add(telemetry.QUEUE_TIMES + telemetry.bucket(queued_us))
                self._slot.add(telemetry.QUEUE_MICROSECONDS, queued_us)
            return
        self._slot.add(telemetry.FAILED)
        self._slot.add(telemetry.failure(result.metric_label))
        self._fail(job, decision, attempt, result.health_signal)
        if decision.disable_endpoint:
            self._disable(job.endpoint, "the endpoint answered 410 Gone")

    def _fail(self, job: ClaimedJob, decision: Decision, attempt: Attempt, signal: HealthSignal) -> None:
        retry_in = decision.retry_in_seconds
        changes: dict[str, str | int] = {"attempt": job.attempt + 1}
        if retry_in is None:
            reason = decision.reason or ""
            changes = {"reason": reason}
            self._count_death(job, reason)
        else:
            self._slot.add(telemetry.RETRIES)
        self._source.settle(
            delivery_queue.failed(
                job,
                job.with_outcome(attempt.outcome, **changes),
                retry_in,
                signal,
                attempt,
                self._policy.logged_attempts,
                self._policy.disable_after_seconds,
            )
        )

    def _dead_letter(self, job: ClaimedJob, reason: str) -> None:
        """Without an attempt, because none is possible."""
        self._count_death(job, reason)
        stored = job.with_outcome({"at": round(time.time(), 3), "error": reason}, reason=reason)
        self._source.settle(delivery_queue.failed(job, stored, None, HealthSignal.UNKNOWN))

    def _count_death(self, job: ClaimedJob, reason: str) -> None:
        self._slot.add(telemetry.DEAD)
        self._slot.add(telemetry.death(reason))
        log.error("dead letter", delivery=job.id, endpoint=job.endpoint, reason=reason)

    def _disable(self, endpoint_id: str, reason: str) -> None:
        try:
            self._resources.connect_registry().disable(endpoint_id, reason)
        except NotFound:
            return  # Removed in the meantime.
        log.warning("endpoint disabled", endpoint=endpoint_id, reason=reason)

    def _return(self, job: ClaimedJob, interrupted: bool = False) -> None:
        self._source.settle(delivery_queue.returned(job, interrupted))
        self._slot.add(telemetry.RETURNED)

    def _on_redis_error(self, error: RedisError) -> float:
        """Returns the seconds to wait before the next try."""
        self._source.close()
        self._slot.activity = telemetry.AWAY
        if not self._source.has_unsettled_job and not self._slot_may_hold_job:
            # A job that was popped for this connection is lost with it, and the sweep finds it.
            self._slot.set_counter(telemetry.HELD_SEQUENCE, 0)
        return self._outage.fail(_REDIS, lambda: f"Redis: {clients.explain(error, self._connection)}")

    def _finish(self) -> None:
        self._slot.state = State.QUIET
        try:
            self._source.settle_pending()
        except RedisError as error:
            log.warning("not settled", child=self._child.name, error=str(error))
        self._source.close()
        self._resources.transport.close()
