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

from hookfarm import delivery_queue, logs
from hookfarm.delivery_queue import Settlement
from hookfarm.errors import InvalidInput, NotFound
from hookfarm.farm.board import State
from hookfarm.farm.child import Child
from hookfarm.jobs import Foreign, Taken
from hookfarm.redis_clients import Exchange, RedisError
from hookfarm.registry import Registry
from hookfarm.webhook_delivery import gauges, outcome
from hookfarm.webhook_delivery.deadline import Interrupted
from hookfarm.webhook_delivery.endpoints import Endpoints, Prepared
from hookfarm.webhook_delivery.outcome import Decision, Result
from hookfarm.webhook_delivery.transport import Transport

log = logs.get("webhook_delivery")

POLL_PROMISE_SECONDS = delivery_queue.BLOCK_SECONDS + 0.25
POST_SLACK_SECONDS = 2.0
RECONNECT_FIRST_SECONDS = 0.05
RECONNECT_LONGEST_SECONDS = 1.0


@dataclass(frozen=True)
class Policy:
    """The settings a worker decides by."""

    retry_schedule: Sequence[float]
    report_to: str
    """The counter that says this run's workers have entered BRPOP."""


class Worker:
    """One delivery process. `iterate` is one job, or one second of none."""

    def __init__(
        self, child: Child, exchange: Exchange, endpoints: Endpoints, transport: Transport,
        registry: Callable[[], Registry], policy: Policy,
    ) -> None:  # fmt: skip
        self._child = child
        self._slot = child.slot
        self._exchange = exchange
        self._endpoints = endpoints
        self._transport = transport
        self._registry = registry
        self._policy = policy
        self._settlement: Settlement | None = None
        self._foreign: Foreign | None = None
        """Popped and perhaps not in the ledger: nobody else has it."""
        self._reported = False
        self._asked_ns = 0
        self._troubled_since: float | None = None

    def run(self) -> None:
        """Until the child is told to stop. Redis may come and go meanwhile."""
        self._slot.set_counter(gauges.HELD_SEQUENCE, 0)  # A predecessor's, if it died with a job.
        wait = RECONNECT_FIRST_SECONDS
        while not self._child.stopping:
            try:
                self.iterate()
                wait = RECONNECT_FIRST_SECONDS
            except RedisError as error:
                self._trouble(error)
                self._slot.promise(wait + POLL_PROMISE_SECONDS)
                self._child.wait(wait * random.uniform(0.5, 1.0))
                wait = min(2 * wait, RECONNECT_LONGEST_SECONDS)
        self._finish()

    def iterate(self) -> None:
        """Settle the last job, take the next, attempt it. RedisError: the connection is closed."""
        taken, revision = self._take()
        if taken is None:
            return
        if isinstance(taken, Foreign):
            adopted = self._adopt(taken)
            if adopted is None:
                return
            taken = adopted
        self._slot.set_counter(gauges.HELD_SEQUENCE, taken.sequence)
        self._slot.activity = gauges.POSTING
        late = time.monotonic_ns() - self._asked_ns > delivery_queue.FENCE_SECONDS * 1e9
        if late or self._child.stopping:
            self._give_back(taken)
        else:
            self._deliver(taken, revision)

    def _adopt(self, foreign: Foreign, again: bool = False) -> Taken | None:
        self._foreign = foreign
        adopted = delivery_queue.adopt(self._exchange, foreign, again)
        self._foreign = None
        if adopted is not None:
            self._slot.add(gauges.ADOPTED)
        return adopted

    def _take(self) -> tuple[Taken | Foreign | None, int]:
        if not self._exchange.connected:
            self._connect()
        settlement = self._settlement
        report_to = None if self._reported else self._policy.report_to
        self._announce_asking()
        delivery_queue.ask(self._exchange, settlement, report_to)
        if settlement is not None and delivery_queue.confirm(self._exchange):
            self._settled()
        if report_to:
            self._read_report()
        taken, revision = delivery_queue.answer(self._exchange)
        if self._settlement is not None:
            delivery_queue.settle_now(self._exchange, self._settlement)
            self._settled()
        return taken, revision

    def _announce_asking(self) -> None:
        """For the sweep, and before the BRPOP is sent: what was popped for it earlier is in its hands or lost."""
        self._asked_ns = time.monotonic_ns()
        self._slot.set_counter(gauges.ASKED_NS, self._asked_ns)
        self._slot.activity = gauges.POLLING
        self._slot.promise(POLL_PROMISE_SECONDS)

    def _settled(self) -> None:
        """Redis has answered: only now may the sweep no longer see the job in these hands."""
        self._settlement = None
        self._slot.set_counter(gauges.HELD_SEQUENCE, 0)

    def _connect(self) -> None:
        self._slot.set_counter(gauges.CLIENT_ID, delivery_queue.prepare(self._exchange))
        self._settle_owed()
        if self._troubled_since is not None:
            log.info(
                "redis is back", child=self._child.name, after_s=round(time.monotonic() - self._troubled_since, 1)
            )
            self._troubled_since = None
        if self._reported:
            self._child.up()

    def _settle_owed(self) -> None:
        """What an earlier connection left undone, each in a round trip of its own."""
        if self._settlement is not None:
            delivery_queue.settle_now(self._exchange, self._settlement)
            self._settled()
        if self._foreign is not None:
            adopted = self._adopt(self._foreign, again=True)
            if adopted is not None:
                delivery_queue.settle_now(self._exchange, delivery_queue.give_back(adopted))

    def _read_report(self) -> None:
        reported = self._exchange.receive()
        if isinstance(reported, Exception):
            raise reported
        self._reported = True
        self._child.up()

    def _deliver(self, taken: Taken, revision: int) -> None:
        prepared = self._endpoints.get(taken.endpoint, revision)
        problem = _undeliverable(prepared)
        if not isinstance(prepared, Prepared) or problem:
            self._fail(taken, Decision(delivered=False, reason=problem), {"error": problem or ""})
            return
        self._slot.promise(prepared.endpoint.timeout_seconds + POST_SLACK_SECONDS)
        began = time.monotonic_ns()
        try:
            result = self._transport.post(
                prepared.target, prepared.request(taken, time.time()), prepared.endpoint.timeout_seconds
            )
        except Interrupted:
            self._give_back(taken)
            return
        took = (time.monotonic_ns() - began) // 1000
        self._slot.add(gauges.POST_TIMES + gauges.bucket(took))
        self._conclude(taken, result, took)

    def _conclude(self, taken: Taken, result: Result, took: int) -> None:
        now = time.time()
        decision = outcome.decide(result, taken.attempt, self._policy.retry_schedule, random.random(), now)
        if decision.delivered:
            self._settlement = delivery_queue.delivered(taken.id)
            self._slot.add(gauges.DELIVERED)
            if taken.attempt == 1:
                self._slot.add(gauges.QUEUE_TIMES + gauges.bucket(max(0, int(now * 1e6) - taken.sequence)))
            return
        self._slot.add(gauges.FAILED)
        described = outcome.describe(result)
        log.warning(
            "attempt failed",
            delivery=taken.id,
            endpoint=taken.endpoint,
            attempt=taken.attempt,
            took_ms=took // 1000,
            retry_in_s=None if decision.retry_in_seconds is None else round(decision.retry_in_seconds, 1),
            **described,
        )
        self._fail(taken, decision, {"at": int(now), **described})
        if decision.disable_endpoint:
            self._disable(taken.endpoint)

    def _fail(self, taken: Taken, decision: Decision, described: dict[str, str | int]) -> None:
        retry_in = decision.retry_in_seconds
        changes: dict[str, str | int] = {"attempt": taken.attempt + 1}
        if retry_in is None:
            changes = {"reason": decision.reason or ""}
            self._slot.add(gauges.DEAD)
            log.error("dead letter", delivery=taken.id, endpoint=taken.endpoint, reason=decision.reason)
        self._settlement = delivery_queue.failed(taken, taken.after(described, **changes), retry_in)

    def _disable(self, endpoint_id: str) -> None:
        try:
            self._registry().disable(endpoint_id, "the endpoint answered 410 Gone")
        except NotFound:
            return  # Its owner was quicker.
        log.warning("endpoint disabled", endpoint=endpoint_id, reason="410 Gone")

    def _give_back(self, taken: Taken) -> None:
        self._settlement = delivery_queue.give_back(taken)
        self._slot.add(gauges.GIVEN_BACK)

    def _trouble(self, error: RedisError) -> None:
        self._exchange.close()
        self._slot.activity = gauges.AWAY
        if self._settlement is None:
            # What was popped for this connection is nobody's now, and the sweep finds it.
            self._slot.set_counter(gauges.HELD_SEQUENCE, 0)
        if self._troubled_since is None:
            self._troubled_since = time.monotonic()
            self._child.stalled(f"Redis: {error}")
            log.warning("redis is gone", child=self._child.name, error=str(error))

    def _finish(self) -> None:
        self._slot.state = State.QUIET
        try:
            self._settle_owed()
        except RedisError as error:
            log.warning("not settled", child=self._child.name, error=str(error))
        self._exchange.close()
        self._transport.close()


def _undeliverable(prepared: Prepared | InvalidInput | None) -> str | None:
    """Why a job can't be attempted at all, or None."""
    if prepared is None:
        return "endpoint_removed"
    if isinstance(prepared, InvalidInput):
        return f"endpoint_invalid: {prepared}"
    return None if prepared.endpoint.enabled else "endpoint_disabled"
