"""A delivery process: one event loop, many POSTs in flight.

1. Enter BRPOP and, in the same write, increment the counter of polling workers. Stay in BRPOP while there is room.
2. Claim popped jobs, post each under one deadline, and settle the results in batches.
3. On a stop, send no more pops and return jobs popped meanwhile. Finish the POSTs, settle, and exit.

The loop turns at least once a second, however slow the endpoints are; each turn is a heartbeat.
After a SIGKILL between pop and settlement, the sweep finds the open jobs in the ledger. A job whose POST had
already succeeded is then posted again with the same webhook-id.
A job that is claimed too long after its BRPOP (the fence) may be requeued already; it is returned, not posted.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hookfarm import delivery_queue, logs
from hookfarm.delivery_queue import JobSource, Settlement, SourceEvents
from hookfarm.delivery_queue.job import ClaimedJob
from hookfarm.errors import NotFound
from hookfarm.event_loop import READABLE, EventLoop
from hookfarm.farm.child import Child
from hookfarm.farm.scoreboard import State
from hookfarm.http_client.transport import Transport
from hookfarm.outage import Outage
from hookfarm.registry.store import Registry
from hookfarm.store import clients
from hookfarm.store.clients import PipelinedConnection, RedisError
from hookfarm.store.loop_connection import CONNECT_SECONDS
from hookfarm.webhook_delivery import telemetry
from hookfarm.webhook_delivery.attempts import AttemptPolicy, Attempts
from hookfarm.webhook_delivery.endpoints import EndpointCache
from hookfarm.webhook_delivery.telemetry import HeldJobs

if TYPE_CHECKING:
    from hookfarm.tracing.spans import Spans

log = logs.get("webhook_delivery")

TURN_SECONDS = 1.0
"""The longest turn of the loop."""
HEARTBEAT_SECONDS = TURN_SECONDS + 0.25
GIVE_UP_SECONDS = 0.5
"""Time for settlements after the grace period; less than GRACE_RESERVE_SECONDS."""
EXPIRE_SECONDS = 5.0
"""Interval of the search for expired idle connections."""
RETRY_SECONDS = 1.0
"""Delay before a failed attempt to disable an endpoint is retried."""
_REDIS = "redis"


@dataclass(frozen=True)
class Policy:
    """Settings of a worker."""

    polling_counter: str
    """Key of the counter that each worker of this run increments when it enters BRPOP."""
    attempts: AttemptPolicy
    logged_attempts: int
    """Maximum number of attempts in the delivery log per endpoint; 0 = none."""
    disable_after_seconds: float
    """Disable an endpoint after this time of failures without a success."""
    concurrency: int
    """Maximum number of POSTs in flight."""
    workers: int
    """Number of workers that share the list."""


@dataclass(frozen=True)
class WorkerResources:
    """Objects of one worker, made after its fork."""

    redis_url: str
    endpoints: EndpointCache
    transport: Transport
    connect_registry: Callable[[], Registry]
    """Connects to the registry; called only to disable an endpoint."""
    spans: "Spans | None" = None


class Worker:
    """One delivery process. `iterate` is one turn of its loop."""

    def __init__(self, child: Child, resources: WorkerResources, policy: Policy) -> None:
        self._child = child
        self._slot = child.slot
        self._resources = resources
        self._loop: EventLoop = resources.transport.loop
        self._policy = policy
        self._held = HeldJobs(child.slot, policy.concurrency)
        self._source = JobSource(
            self._loop,
            resources.redis_url,
            self._events(),
            policy.polling_counter,
            policy.logged_attempts,
            policy.disable_after_seconds,
            policy.workers,
        )
        self._attempts = Attempts(
            child, resources.transport, policy.attempts, self._settle, self._disable, resources.spans
        )
        self._waiting: dict[str, list[ClaimedJob]] = {}
        """Claimed jobs, by endpoint, that wait for the read of that endpoint."""
        self._unsettled: set[str] = set()
        """Endpoints whose last settlement failed."""
        self._unfinished = 0
        """Popped jobs without a settlement."""
        self._inherits = True
        """The slot may contain jobs of a crashed predecessor."""
        self._outage = Outage(child, log, child=child.name)
        self._connect_at = 0.0
        self._expire_at = 0.0
        self._give_up_at = math.inf

    def run(self) -> None:
        """Deliver until the child is stopped and has settled its last job. Outages of Redis are survived."""
        self._loop.watch(self._child.stop_fd, READABLE, self._on_stop)
        while not self.is_done:
            self.iterate()
        self._slot.state = State.QUIET
        if self._held:
            log.warning("not settled", child=self._child.name, jobs=len(self._held), reason=self._outage.reason)
        self.close()

    def iterate(self) -> None:
        """Send requests, wait for events, and handle them."""
        self._slot.heartbeat(HEARTBEAT_SECONDS)
        self._source.receive()
        if not self._source.is_connected:
            self._connect()
        if not self._child.stopping:
            taken = self._unfinished + self._source.foreign
            room = min(self._policy.concurrency - taken, self._held.room)
            self._source.pop(room, is_trial=self._outage.is_ongoing)
        elif self._child.grace_expired:
            self._attempts.interrupt()
            self._give_up_at = min(self._give_up_at, self._loop.time() + GIVE_UP_SECONDS)
        self._source.flush()
        self._loop.run_once(self._turn_seconds())
        self._expire_idle()

    def _turn_seconds(self) -> float:
        if self._source.is_connected:
            return TURN_SECONDS / 4 if self._child.stopping else TURN_SECONDS
        return max(0.0, min(self._connect_at - self._loop.time(), TURN_SECONDS))

    @property
    def is_done(self) -> bool:
        """Whether the child is stopping and has settled all jobs, or its time for that is over."""
        if not self._child.stopping or self._attempts:
            return False
        if self._child.grace_expired and (not self._source.is_connected or self._loop.time() > self._give_up_at):
            return True
        return not (self._source.is_connected and self._source.is_popping) and not self._holds_jobs

    @property
    def _holds_jobs(self) -> bool:
        return bool(self._held) or self._source.foreign > 0

    def close(self) -> None:
        """Close all connections."""
        self._source.close()
        self._resources.transport.close()

    def _on_stop(self, _events: int) -> None:
        self._loop.unwatch(self._child.stop_fd)

    def _events(self) -> SourceEvents:
        return SourceEvents(
            on_connected=lambda client_id: self._slot.set_counter(telemetry.CLIENT_ID, client_id),
            on_polling=self._mark_polling,
            on_counted=self._mark_up,
            on_popped=self._on_popped,
            on_pop_done=self._on_pop_done,
            on_claimed=self._on_claimed,
            on_gone=self._on_gone,
            on_settled=self._on_settled,
            on_disable=self._disable_failing,
            on_adopted=lambda: self._slot.add(telemetry.ADOPTED),
            on_rejected=self._on_rejected,
            on_unsettled=self._on_unsettled,
            on_lost=self._on_lost,
        )

    # Redis

    def _connect(self) -> None:
        if self._loop.time() < self._connect_at:
            return
        self._slot.heartbeat(HEARTBEAT_SECONDS + 2 * CONNECT_SECONDS)
        try:
            if self._inherits:
                self._requeue_inherited()
            self._source.connect()
        except RedisError as error:
            self._on_lost(error)
            return
        for endpoint_id in self._waiting:
            self._read_endpoint(endpoint_id)

    def _requeue_inherited(self) -> None:
        """Requeue the jobs of a crashed predecessor in this slot at once, without waiting for the sweep."""
        sequences = self._held.inherited()
        if sequences:
            connection = PipelinedConnection(self._resources.redis_url, 0)
            try:
                for job_id in delivery_queue.requeue_crashed(connection, sequences):
                    self._slot.add(telemetry.ORPHANS)
                    log.warning("orphan requeued", delivery=job_id, child=self._child.name)
            finally:
                connection.close()
            self._held.clear()
        self._inherits = False

    def _on_lost(self, error: RedisError) -> None:
        self._slot.activity = telemetry.AWAY
        url = self._resources.redis_url
        wait = self._outage.fail(_REDIS, lambda: f"Redis: {clients.explain(error, PipelinedConnection(url, 0))}")
        self._connect_at = self._loop.time() + wait

    def _mark_polling(self) -> None:
        """Store the time of the next BRPOP for the sweep, before it is sent.

        The slot contains all jobs of earlier BRPOPs by now; any other job of theirs is lost.
        """
        self._slot.set_counter(telemetry.POLLED_NS, time.monotonic_ns())
        self._slot.activity = telemetry.POLLING

    def _mark_up(self) -> None:
        if not self._outage.is_ongoing:
            self._child.mark_up()

    def _on_pop_done(self) -> None:
        self._slot.activity = telemetry.BUSY
        # Only a successful BRPOP ends an outage: a replica, for example, accepts connections but no BRPOP.
        self._outage.recover(_REDIS)

    # Jobs

    def _on_popped(self, sequence: int) -> None:
        self._held.add(sequence)
        self._unfinished += 1

    def _on_claimed(self, job: ClaimedJob, is_late: bool) -> None:
        if is_late or self._child.stopping:
            self._attempts.give_back(job)
        elif not job.endpoint:
            self._attempts.dead_letter(job, "damaged: the entry of the ledger is not a job")
        elif self._resources.endpoints.is_current(job.endpoint, self._source.registry_revision):
            self._attempts.begin(job, self._resources.endpoints.get(job.endpoint))
        elif job.endpoint in self._waiting:
            self._waiting[job.endpoint].append(job)
        else:
            self._waiting[job.endpoint] = [job]
            self._read_endpoint(job.endpoint)

    def _read_endpoint(self, endpoint_id: str) -> None:
        revision = self._source.registry_revision

        def on_read(stored: bytes | None) -> None:
            compiled = self._resources.endpoints.store(endpoint_id, revision, stored)
            for job in self._waiting.pop(endpoint_id):
                if self._child.stopping:
                    self._attempts.give_back(job)
                else:
                    self._attempts.begin(job, compiled)

        self._source.read_endpoint(endpoint_id, on_read)

    def _settle(self, settlement: Settlement) -> None:
        self._unfinished -= 1
        self._source.settle(settlement)

    def _on_gone(self, sequence: int) -> None:
        self._unfinished -= 1
        self._held.remove(sequence)

    def _on_rejected(self) -> None:
        self._slot.add(telemetry.death("garbage"))

    def _on_unsettled(self, settlement: Settlement, reason: str) -> None:
        if settlement.endpoint not in self._unsettled:
            self._unsettled.add(settlement.endpoint)
            log.error("not settled", endpoint=settlement.endpoint, error=reason, consequence="retried")

    def _on_settled(self, settlement: Settlement) -> None:
        if self._unsettled and settlement.endpoint in self._unsettled:
            self._unsettled.remove(settlement.endpoint)
            log.info("settled again", endpoint=settlement.endpoint)
        self._held.remove(settlement.sequence)

    def _disable_failing(self, endpoint_id: str) -> None:
        days = self._policy.disable_after_seconds / 86400
        self._disable(endpoint_id, f"only failures for {days:g} days")

    def _disable(self, endpoint_id: str, reason: str) -> None:
        try:
            self._resources.connect_registry().disable(endpoint_id, reason)
        except NotFound:
            return  # The endpoint was removed in the meantime.
        except RedisError:
            self._loop.call_later(RETRY_SECONDS, lambda: self._disable(endpoint_id, reason))
            return
        log.warning("endpoint disabled", endpoint=endpoint_id, reason=reason)

    def _expire_idle(self) -> None:
        if self._loop.time() >= self._expire_at:
            self._resources.transport.expire_idle()
            self._expire_at = self._loop.time() + EXPIRE_SECONDS
