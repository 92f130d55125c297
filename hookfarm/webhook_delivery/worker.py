"""A delivery process: one connection to Redis, one job at a time, one round trip for each.

1. It enters BRPOP and, in the same write, reports that it does.
2. It takes a job, posts it under one deadline, and keeps the outcome.
3. The outcome goes out with the next BRPOP, in one write: settle, pop.
4. Told to stop, it finishes its POST, gives back what it pops meanwhile, settles, and goes.

A SIGKILL between pop and settle leaves the job open in the ledger, where the sweep finds it; a POST that was
answered just before is then made again with the same webhook-id. After any error on the connection to Redis the
outcome is settled first on the next one, and a job that arrives too late to be certainly ours (the fence) is
given back instead of posted.
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hookfarm import delivery_queue, logs
from hookfarm.delivery_queue import Attempt, Settlement, Verdict
from hookfarm.delivery_queue.job import Foreign, Taken
from hookfarm.errors import NotFound
from hookfarm.farm.child import Child
from hookfarm.farm.scoreboard import State
from hookfarm.http_client import outcome
from hookfarm.http_client.deadline import Interrupted
from hookfarm.http_client.outcome import Decision, Result
from hookfarm.http_client.request import Endpoints, Prepared
from hookfarm.http_client.transport import Transport
from hookfarm.registry.registry import Registry
from hookfarm.store import wrong_types
from hookfarm.store.clients import Exchange, OutOfMemoryError, RedisError
from hookfarm.webhook_delivery import attempt_log, counters, traced
from hookfarm.webhook_delivery.trouble import Trouble

if TYPE_CHECKING:
    from hookfarm.tracing.spans import Spans

log = logs.get("webhook_delivery")

POLL_PROMISE_SECONDS = delivery_queue.BLOCK_SECONDS + 0.25
POST_SLACK_SECONDS = 0.25


@dataclass(frozen=True)
class Policy:
    """The settings a worker decides by."""

    retry_schedule: Sequence[float]
    report_to: str
    """The counter that says this run's workers have entered BRPOP."""
    logged_attempts: int
    """How many attempts the delivery log keeps for one endpoint; 0 = none."""
    give_up_seconds: float
    """An endpoint that has only failed for so long is disabled."""
    log_delivered: bool = False
    """Whether an attempt that succeeds is worth a log line; one that fails always is."""


class Worker:
    """One delivery process. `iterate` is one job, or one second of none."""

    def __init__(
        self, child: Child, exchange: Exchange, endpoints: Endpoints, transport: Transport,
        registry: Callable[[], Registry], policy: Policy, spans: "Spans | None" = None,
    ) -> None:  # fmt: skip
        self._child = child
        self._slot = child.slot
        self._exchange = exchange
        self._endpoints = endpoints
        self._transport = transport
        self._registry = registry
        self._policy = policy
        self._spans = spans
        self._settlement: Settlement | None = None
        self._foreign: Foreign | None = None
        """Popped and perhaps not in the ledger: nobody else has it."""
        self._hopeless: str | None = None
        """An endpoint to be disabled."""
        self._inherits = True
        """A predecessor in this slot may have died with a job."""
        self._reported = False
        self._asked_ns = 0
        self._trouble = Trouble(child, log)

    def run(self) -> None:
        """Until the child is told to stop. Redis may come and go meanwhile."""
        while not self._child.stopping:
            try:
                self.iterate()
                self._trouble.over()
            except RedisError as error:
                wait = self._lost(error)
                self._slot.promise(wait + POLL_PROMISE_SECONDS)
                self._child.wait(wait * random.uniform(0.5, 1.0))
        self._finish()

    def iterate(self) -> None:
        """Settle the last job, take the next, attempt it. RedisError: the connection is closed."""
        taken, revision = self._take()
        if isinstance(taken, Foreign):
            taken = self._adopt(taken)
        if taken is not None:
            self._handle(taken, revision)
        if self._hopeless is not None:
            self._disable(
                self._hopeless, f"nothing but failures for {self._policy.give_up_seconds / 86400:g} days"
            )
            self._hopeless = None

    def _handle(self, taken: Taken, revision: int) -> None:
        self._slot.set_counter(counters.HELD_SEQUENCE, taken.sequence)
        self._slot.activity = counters.POSTING
        late = time.monotonic_ns() - self._asked_ns > delivery_queue.FENCE_SECONDS * 1e9
        if late or self._child.stopping:
            self._give_back(taken)
        else:
            self._deliver(taken, revision)

    def _adopt(self, foreign: Foreign, again: bool = False) -> Taken | None:
        self._foreign = foreign
        adopted = delivery_queue.adopt(
            self._exchange, foreign, again, on_burial=lambda: self._slot.add(counters.death("garbage"))
        )
        self._foreign = None
        if adopted is not None:
            self._slot.add(counters.ADOPTED)
        return adopted

    def _take(self) -> tuple[Taken | Foreign | None, int]:
        if not self._exchange.connected:
            self._connect()
        settlement = self._settlement
        report_to = None if self._reported else self._policy.report_to
        self._announce_asking()
        delivery_queue.ask(self._exchange, settlement, report_to)
        if settlement is not None:
            answer = delivery_queue.confirm(self._exchange)
            if answer is not None:
                self._settled(answer)
        if report_to:
            self._read_report()
        taken, revision = delivery_queue.answer(self._exchange)
        if self._settlement is not None:
            self._settled(delivery_queue.settle_now(self._exchange, self._settlement))
        return taken, revision

    def _announce_asking(self) -> None:
        """For the sweep, and before the BRPOP is sent: what was popped for it earlier is in its hands or lost."""
        self._asked_ns = time.monotonic_ns()
        self._slot.set_counter(counters.ASKED_NS, self._asked_ns)
        self._slot.activity = counters.POLLING
        self._slot.promise(POLL_PROMISE_SECONDS)

    def _settled(self, answer: int) -> None:
        """Redis has answered: only now may the sweep no longer see the job in these hands."""
        if answer == delivery_queue.GIVE_UP and self._settlement is not None:
            self._hopeless = self._settlement.endpoint
        self._settlement = None
        self._slot.set_counter(counters.HELD_SEQUENCE, 0)

    def _connect(self) -> None:
        self._slot.set_counter(counters.CLIENT_ID, delivery_queue.prepare(self._exchange))
        if self._inherits:
            self._requeue_inherited()
        self._settle_owed()

    def _requeue_inherited(self) -> None:
        """What the predecessor in this slot held when it died need not wait for the sweep."""
        sequence = self._slot.counter(counters.HELD_SEQUENCE)
        for job_id in delivery_queue.requeue_held(self._exchange, sequence) if sequence else ():
            self._slot.add(counters.ORPHANS)
            log.warning("orphan requeued", delivery=job_id, child=self._child.name)
        self._slot.set_counter(counters.HELD_SEQUENCE, 0)
        self._inherits = False

    def _settle_owed(self) -> None:
        """What an earlier connection left undone, each in a round trip of its own."""
        if self._settlement is not None:
            self._settled(delivery_queue.settle_now(self._exchange, self._settlement))
        if self._foreign is not None:
            adopted = self._adopt(self._foreign, again=True)
            if adopted is not None:
                delivery_queue.settle_now(self._exchange, delivery_queue.give_back(adopted))

    def _read_report(self) -> None:
        """A Redis without room takes no report and yet gives jobs, and each of them makes room."""
        reported = self._exchange.receive()
        if isinstance(reported, Exception) and not isinstance(reported, OutOfMemoryError):
            raise reported
        self._reported = not isinstance(reported, Exception)
        if not self._trouble.lasts:
            self._child.up()

    def _deliver(self, taken: Taken, revision: int) -> None:
        prepared = self._endpoints.get(taken.endpoint, revision)
        if not isinstance(prepared, Prepared):
            reason = "endpoint_removed" if prepared is None else f"endpoint_invalid: {prepared}"
            self._bury(taken, reason)
            return
        if not prepared.endpoint.enabled:
            self._settlement = delivery_queue.park(taken)
            return
        self._slot.promise(prepared.endpoint.timeout_seconds + POST_SLACK_SECONDS)
        began = time.monotonic_ns()
        try:
            result = outcome.without(self._post(taken, prepared), prepared.secrets)
        except Interrupted:
            self._give_back(taken, interrupted=True)
            return
        took_us = (time.monotonic_ns() - began) // 1000
        self._slot.add(counters.POST_TIMES + counters.bucket(took_us))
        self._slot.add(counters.POST_MICROSECONDS, took_us)
        self._conclude(taken, result, took_us)

    def _post(self, taken: Taken, prepared: Prepared) -> Result:
        if self._spans is not None:
            return traced.post(self._spans, self._transport, taken, prepared)
        request = prepared.request(taken, time.time())
        return self._transport.post(prepared.target, request, prepared.endpoint.timeout_seconds)

    def _conclude(self, taken: Taken, result: Result, took_us: int) -> None:
        now = time.time()
        schedule = self._policy.retry_schedule
        decision = outcome.decide(result, taken.attempt_since_redrive, schedule, random.random(), now)
        described = outcome.describe(result)
        attempt = Attempt(
            taken.attempt,
            described.get("status") or described["error"],
            took_us // 1000,
            {"at": round(now, 3), "duration_ms": took_us // 1000, **described},
        )
        if self._policy.log_delivered or not decision.delivered:
            attempt_log.write(log, self._child.index, taken, attempt, took_us, now, decision)
        if decision.delivered:
            self._settlement = delivery_queue.delivered(taken, attempt, self._policy.logged_attempts)
            self._slot.add(counters.DELIVERED)
            if taken.attempt == 1:
                waited_us = max(0, int(now * 1e6) - taken.sequence)
                self._slot.add(counters.QUEUE_TIMES + counters.bucket(waited_us))
                self._slot.add(counters.QUEUE_MICROSECONDS, waited_us)
            return
        self._slot.add(counters.FAILED)
        self._slot.add(counters.failure(outcome.kind(result)))
        self._fail(taken, decision, attempt, outcome.verdict(result))
        if decision.disable_endpoint:
            self._disable(taken.endpoint, "the endpoint answered 410 Gone")

    def _fail(self, taken: Taken, decision: Decision, attempt: Attempt, verdict: Verdict) -> None:
        retry_in = decision.retry_in_seconds
        changes: dict[str, str | int] = {"attempt": taken.attempt + 1}
        if retry_in is None:
            reason = decision.reason or ""
            changes = {"reason": reason}
            self._note_death(taken, reason)
        else:
            self._slot.add(counters.RETRIES)
        self._settlement = delivery_queue.failed(
            taken,
            taken.after(attempt.outcome, **changes),
            retry_in,
            verdict,
            attempt,
            self._policy.logged_attempts,
            self._policy.give_up_seconds,
        )

    def _bury(self, taken: Taken, reason: str) -> None:
        """Not attempted, because it never can be."""
        self._note_death(taken, reason)
        job = taken.after({"at": round(time.time(), 3), "error": reason}, reason=reason)
        self._settlement = delivery_queue.failed(taken, job, None, Verdict.NONE)

    def _note_death(self, taken: Taken, reason: str) -> None:
        self._slot.add(counters.DEAD)
        self._slot.add(counters.death(reason))
        log.error("dead letter", delivery=taken.id, endpoint=taken.endpoint, reason=reason)

    def _disable(self, endpoint_id: str, reason: str) -> None:
        try:
            self._registry().disable(endpoint_id, reason)
        except NotFound:
            return  # Its owner was quicker.
        log.warning("endpoint disabled", endpoint=endpoint_id, reason=reason)

    def _give_back(self, taken: Taken, interrupted: bool = False) -> None:
        self._settlement = delivery_queue.give_back(taken, interrupted)
        self._slot.add(counters.GIVEN_BACK)

    def _lost(self, error: RedisError) -> float:
        """Returns how many seconds to wait before trying again."""
        self._exchange.close()
        self._slot.activity = counters.AWAY
        if self._settlement is None and not self._inherits:
            # What was popped for this connection is nobody's now, and the sweep finds it.
            self._slot.set_counter(counters.HELD_SEQUENCE, 0)
        return self._trouble.failed(lambda: wrong_types.explain(error, self._exchange))

    def _finish(self) -> None:
        self._slot.state = State.QUIET
        try:
            self._settle_owed()
        except RedisError as error:
            log.warning("not settled", child=self._child.name, error=str(error))
        self._exchange.close()
        self._transport.close()
