"""Random moves with windows of every kind, and backfill queues: the ledger holds after each, all is delivered."""

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from hookfarm import delivery_queue
from hookfarm.deliveries import endpoint_stats
from hookfarm.delivery_queue import EntryResult, HealthSignal
from hookfarm.delivery_queue.job import ClaimedJob, ForeignElement, Job
from hookfarm.records import Endpoint
from hookfarm.registry.store import Registry
from hookfarm.store import keys
from hookfarm.store.clients import PipelinedConnection
from tests.support import backfill_queue
from tests.support.delivery import delivered, set_capacity
from tests.support.ledger import assert_drained, place
from tests.support.queue import adopt, take
from tests.support.queue_model import QueueModel, run_model

ENDPOINTS = (
    Endpoint("ep_plain", "http://127.0.0.1:9/"),
    Endpoint("ep_two", "http://127.0.0.1:9/", max_in_flight=2),
    Endpoint("ep_ordered", "http://127.0.0.1:9/", ordered=True),
    Endpoint("ep_rate", "http://127.0.0.1:9/", rate_limit_per_second=1),
)
MOST = {"ep_plain": 10, "ep_two": 2, "ep_ordered": 1, "ep_rate": 10}
NAMES = st.sampled_from(sorted(MOST))


class Windows(QueueModel):
    """Knows what is owed and what is in hands."""

    def __init__(self, client: Any, connection: PipelinedConnection, redis_url: str) -> None:
        super().__init__(client, connection)
        self.redis_url = redis_url
        self.registry = Registry(client)
        for endpoint in ENDPOINTS:
            self.registry.add(endpoint)
        set_capacity(client, 8)
        self.owed: set[str] = set()
        self.number = 0

    @rule(name=NAMES, count=st.integers(1, 7))
    def hand_off(self, name: str, count: int) -> None:
        made = [Job(f"{name}-{self.number + i:04}", name, b"{}") for i in range(count)]
        self.number += count
        results = [EntryResult(self.read_entry(), tuple(made))]
        assert delivery_queue.enqueue_results(self.connection, results).enqueued == count
        self.owed |= {job.id for job in made}

    @rule(name=NAMES, count=st.integers(1, 12))
    def backfill(self, name: str, count: int) -> None:
        made = [Job(f"{name}-{self.number + i:04}", name, b"{}") for i in range(count)]
        self.number += count
        assert backfill_queue.fill(self.redis_url, name, made) == count
        self.owed |= {job.id for job in made}

    @rule()
    def live_ones_are_long_gone(self) -> None:
        self.client.delete(keys.LIVE_ACTIVITY)

    @rule(name=NAMES)
    def adopt(self, name: str) -> None:
        job_id = f"{name}-{self.number:04}"
        self.number += 1
        raw = b'{"endpoint":"%b","payload":{},"id":"%b"}' % (name.encode(), job_id.encode())
        claimed = adopt(self.connection, ForeignElement(raw))
        self.owed.add(job_id)
        if claimed is not None:
            self.hands.append(claimed)

    @precondition(lambda self: self.client.llen(keys.DELIVERY_QUEUE))
    @rule()
    def pop(self) -> None:
        claimed = take(self.connection)
        if isinstance(claimed, ClaimedJob):
            self.hands.append(claimed)

    @precondition(lambda self: self.hands)
    @rule(data=st.data())
    def deliver(self, data: Any) -> None:
        self.conclude(self.take(data, self.hands))

    def conclude(self, claimed: ClaimedJob) -> None:
        self.settle(delivered(claimed))
        self.owed.remove(claimed.id)

    @precondition(lambda self: self.hands)
    @rule(data=st.data(), signal=st.sampled_from(HealthSignal), wait=st.sampled_from([0.0, 3600.0]))
    def fail(self, data: Any, signal: HealthSignal, wait: float) -> None:
        claimed = self.take(data, self.hands)
        self.settle(
            delivery_queue.failed(claimed, claimed.with_outcome({}, attempt=claimed.attempt + 1), wait, signal)
        )

    @precondition(lambda self: self.hands)
    @rule(data=st.data())
    def die(self, data: Any) -> None:
        claimed = self.take(data, self.hands)
        self.settle(delivery_queue.failed(claimed, claimed.with_outcome({}, reason="x"), None))
        self.owed.remove(claimed.id)

    @precondition(lambda self: self.hands)
    @rule(data=st.data(), move=st.sampled_from([delivery_queue.returned, delivery_queue.parked]))
    def put_back(self, data: Any, move: Any) -> None:
        self.settle(move(self.take(data, self.hands)))

    @precondition(lambda self: self.hands)
    @rule(data=st.data())
    def orphan(self, data: Any) -> None:
        claimed = self.take(data, self.hands)
        assert delivery_queue.requeue_orphan(self.client, claimed.id, claimed.sequence)
        if self.client.zscore(keys.DEAD, claimed.id) is not None:
            self.owed.remove(claimed.id)

    @rule(name=NAMES, enabled=st.booleans())
    def change(self, name: str, enabled: bool) -> None:
        self.registry.edit(name, lambda endpoint: replace(endpoint, enabled=enabled))

    @rule()
    def promote(self) -> None:
        delivery_queue.tick(self.client)

    @rule()
    def time_passes(self) -> None:
        """Retries and windows are due."""
        for job_id in self.client.zrange(keys.RETRY, 0, -1):
            place(self.client, keys.RETRY, {job_id: 1})
        for name in MOST:
            if self.client.exists(keys.WINDOW + name):
                self.client.hset(keys.WINDOW + name, mapping={"blocked_until_ms": 0, "next_allowed_us": 0})
            self.client.zadd(keys.WINDOW_TIMERS, {name: 1}, xx=True)

    @invariant()
    def no_window_is_over_its_limit(self) -> None:
        for name, found in zip(MOST, endpoint_stats.read_windows(self.client, list(MOST)), strict=True):
            assert found.open <= MOST[name]

    def teardown(self) -> None:
        """Everything that is owed comes out, once the endpoints answer: nothing is parked for ever."""
        for name in MOST:
            self.registry.edit(name, lambda endpoint: replace(endpoint, enabled=True))
        while True:
            for claimed in self.hands:
                self.conclude(claimed)
            self.hands = []
            if not self.owed:
                break
            self.time_passes()
            delivery_queue.tick(self.client)
            assert self.client.llen(keys.DELIVERY_QUEUE), f"stuck with {self.owed}"
            while self.client.llen(keys.DELIVERY_QUEUE):
                self.pop()
        assert_drained(self.client)


def test_no_sequence_of_moves_loses_a_parked_job(client: Any, redis_url: str) -> None:
    run_model(redis_url, lambda connection: Windows(client, connection, redis_url))
