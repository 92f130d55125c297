"""One delivery process inside a test: its parts, its slot, and its jobs."""

import contextlib
import itertools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import redis

from hookfarm import delivery_queue
from hookfarm.delivery_queue import BLOCK_SECONDS, Attempt, EntryResult, Settlement
from hookfarm.delivery_queue.job import ClaimedJob, Job
from hookfarm.event_loop import EventLoop
from hookfarm.event_stream import StreamReader
from hookfarm.farm.child import Child
from hookfarm.farm.scoreboard import Scoreboard, Slot, State
from hookfarm.http_client.connections import tls_context
from hookfarm.http_client.resolver import Resolver
from hookfarm.http_client.transport import Transport
from hookfarm.records import Endpoint, new_endpoint_id
from hookfarm.registry.store import Registry
from hookfarm.security.ssrf import IPNetwork
from hookfarm.store import keys
from hookfarm.store.clients import PipelinedConnection, command_client
from hookfarm.webhook_delivery import telemetry
from hookfarm.webhook_delivery.attempts import AttemptPolicy
from hookfarm.webhook_delivery.endpoints import EndpointCache
from hookfarm.webhook_delivery.worker import Policy, Worker, WorkerResources
from tests.support.waiting import PATIENCE_SECONDS, eventually

if TYPE_CHECKING:
    from hookfarm.tracing.spans import Spans

LOOPBACK: tuple[IPNetwork, ...] = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
CHAIN_ID = 31337
DONE = Attempt(1, 200, 5, {"at": 1.0, "duration_ms": 5, "status": 200, "detail": "ok"})
"""A successful attempt."""
PLACES = telemetry.held_places(16)
"""Places of a delivery process with the default concurrency."""
POLLING_COUNTER = keys.reported("test")


class StoppableChild(Child):
    """A child that is stopped by a call instead of a signal."""

    def stop(self) -> None:
        self._stop(signal.SIGTERM, None)


class CountingWorker(Worker):
    """A worker that counts its finished jobs and foreign elements."""

    finished = 0

    def _on_gone(self, sequence: int) -> None:
        super()._on_gone(sequence)
        self.finished += 1

    def _on_settled(self, settlement: Settlement) -> None:
        super()._on_settled(settlement)
        self.finished += 1

    def _on_rejected(self) -> None:
        super()._on_rejected()
        self.finished += 1


class OneWorker:
    """A Worker with its dependencies. Step it in the test's thread, or `start` it on another."""

    def __init__(
        self,
        redis_url: str,
        policy: Policy,
        allowed: Sequence[IPNetwork],
        ca_file: Path | None,
        grace_seconds: float,
        spans: "Spans | None",
    ) -> None:
        self.child = StoppableChild(
            keys.WEBHOOK_DELIVERY, 0, Scoreboard({keys.WEBHOOK_DELIVERY: 1}), grace_seconds
        )
        self.child.slot.on_fork(boot_seconds=10)
        self.child.slot.on_forked(os.getpid())
        self.client = command_client(redis_url)
        self._registry_client = command_client(redis_url)
        loop = EventLoop()
        transport = Transport(loop, tls_context(ca_file), allowed, Resolver(loop), max_idle=2 * policy.concurrency)
        resources = WorkerResources(
            redis_url, EndpointCache(allowed), transport, lambda: Registry(self._registry_client), spans
        )
        self.worker = CountingWorker(self.child, resources, policy)
        self._loop = loop
        self._thread: threading.Thread | None = None
        self.error: BaseException | None = None

    @property
    def slot(self) -> Slot:
        return self.child.slot

    @property
    def up(self) -> bool:
        return self.slot.state == State.UP

    def step(self, times: int = 1) -> None:
        """Run until `times` more jobs are settled or dead letters."""
        wanted = self.worker.finished + times
        self._iterate_until(lambda: self.worker.finished >= wanted, f"{times} finished jobs")

    def settle(self) -> None:
        """Stop the worker with everything settled, and keep its connections."""
        self.child.stopping = True
        self._iterate_until(lambda: self.worker.is_done, "everything settled")
        self.child.stopping = False

    def _iterate_until(self, condition: Callable[[], bool], what: str) -> None:
        """Iterate until the condition holds. A timer stands in for the keeper, which unblocks stopping workers."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"{what} did not happen"
            self._loop.call_later(0.05, self._wake_stopping)
            self.worker.iterate()

    def _wake_stopping(self) -> None:
        if self.child.stopping:
            for client_id in telemetry.polling_clients([self.slot]):
                self.client.client_unblock(client_id)

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="worker")
        self._thread.start()

    @property
    def running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def stop(self) -> None:
        """Stop the worker, unblock it like a farm, and wait for its end."""
        self.child.stop()
        self.join()

    def join(self, within: float = PATIENCE_SECONDS) -> None:
        eventually(self._gone, within, "the worker's end")
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        if self.running:
            self.child.stop()
            self.child.stop()
            self.join()
        if self._thread is None:
            self.worker.close()
        self._loop.close()
        self.client.close()
        self._registry_client.close()
        self.child.close()

    def _gone(self) -> bool:
        with contextlib.suppress(redis.RedisError):
            for client_id in telemetry.polling_clients([self.slot]):
                self.client.client_unblock(client_id)
        return not self.running

    def _run(self) -> None:
        try:
            self.worker.run()
        except BaseException as error:
            self.error = error


@contextlib.contextmanager
def one_worker(
    redis_url: str,
    *,
    schedule: Sequence[float] = (5.0, 30.0),
    allowed: Sequence[IPNetwork] = LOOPBACK,
    ca_file: Path | None = None,
    grace_seconds: float = 20.0,
    concurrency: int = 1,
    workers: int = 1,
    logged_attempts: int = 1000,
    disable_after_seconds: float = 86_400.0,
    spans: "Spans | None" = None,
) -> Iterator[OneWorker]:
    """Run a worker that may post to loopback during the context."""
    attempts = AttemptPolicy(tuple(schedule))
    policy = Policy(POLLING_COUNTER, attempts, logged_attempts, disable_after_seconds, concurrency, workers)
    worker = OneWorker(redis_url, policy, allowed, ca_file, grace_seconds, spans)
    try:
        yield worker
    finally:
        worker.close()


def add_endpoint(client: redis.Redis, url: str, **fields: Any) -> Endpoint:
    """Add an endpoint to the registry; return it with its secret."""
    return Registry(client).add(replace(Endpoint(new_endpoint_id(), url), **fields))


_numbers = itertools.count(1)


def job(endpoint: Endpoint | str, job_id: str | None = None, body: bytes = b'{"type":"test"}') -> Job:
    """Return a job, with a new id unless one is given."""
    name = endpoint if isinstance(endpoint, str) else endpoint.id
    return Job(job_id or f"msg_{next(_numbers)}", name, body)


def delivered(job: ClaimedJob | str, endpoint: str = "ep_1") -> Settlement:
    """Return the settlement of a delivered job, given the job or its id."""
    claimed = job if isinstance(job, ClaimedJob) else ClaimedJob(0, job, endpoint, 1, {}, b"{}")
    return delivery_queue.delivered(claimed, DONE)


def enqueue(redis_url: str, *jobs: Job, chain_id: int = CHAIN_ID) -> int:
    """Enqueue the jobs like a processor: by one entry, read by the group; return how many were enqueued."""
    connection = PipelinedConnection(redis_url, BLOCK_SECONDS)
    try:
        reader = StreamReader(connection, "test")
        reader.follow([chain_id])
        connection.execute(("XADD", keys.events(chain_id), "*", keys.EVENT_FIELD, b"{}"))
        reader.send_read()
        entries, _ = reader.receive()
        handled = [EntryResult(entry) for entry in entries[:-1]] + [EntryResult(entries[-1], jobs)]
        return delivery_queue.enqueue_results(connection, handled).enqueued
    finally:
        connection.close()


def kept(client: redis.Redis, job_id: str) -> dict[str, Any]:
    """Return the job from the ledger."""
    stored = client.hget(keys.JOBS, job_id)
    assert stored is not None, f"{job_id} is missing from the ledger"
    found: dict[str, Any] = orjson.loads(stored)
    return found


def set_capacity(client: Any, count: int) -> None:
    """Set the capacity of all farms to `count`."""
    client.hset(keys.ENDPOINT_LIMITS, "*", f"{count} 1000")


def prove(client: Any, *endpoints: str) -> None:
    """Make endpoints proven, so that they are outside the pool."""
    client.sadd(keys.PROVEN, *endpoints)


def undelivered(client: Any) -> int:
    """Return the number of undelivered jobs, without dead letters."""
    return delivery_queue.read_depths(client).undelivered


def parked(client: Any, endpoint: Endpoint | str) -> list[str]:
    """Return the ids of the endpoint's parked jobs, the next one first."""
    name = endpoint if isinstance(endpoint, str) else endpoint.id
    return [job_id.decode() for job_id in client.zrange(keys.PARKED + name, 0, -1)]


def due_in_seconds(client: redis.Redis, job_id: str) -> float:
    """Return the seconds until the job's next attempt."""
    due = client.zscore(keys.RETRY, job_id)
    assert due is not None, f"{job_id} has no scheduled attempt"
    return float(due) / 1000 - time.time()


def dead_letters(client: Any) -> dict[str, dict[str, Any]]:
    """Return all dead letters by id, in order of death."""
    return {job_id.decode(): kept(client, job_id.decode()) for job_id in client.zrange(keys.DEAD, 0, -1)}
