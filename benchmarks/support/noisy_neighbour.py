"""Many healthy endpoints and a bad one beside them, with their own servers."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from hookfarm.records import Endpoint
from hookfarm.registry.store import Registry, new_secret
from support.environment import directory
from support.receivers import Receiver, Recorder, running_nginx, running_recorder
from support.redis_server import RedisServer, running_redis
from support.waiting import until
from support.webhooks import Enqueuer, add_endpoint

FILL_JOBS = 5000


@dataclass(frozen=True)
class Badness:
    """What an endpoint does to a webhook: `status` 0 = it reads it and never answers."""

    status: int
    after_seconds: float = 0.0


@dataclass(frozen=True)
class NoisyNeighbour:
    """`counting` receives what measures throughput, `noting` what measures latency; both only healthy webhooks."""

    place: Path
    server: RedisServer
    counting: Receiver
    noting: Recorder
    healthy: tuple[Endpoint, ...]
    bad: Endpoint
    bad_receiver: Recorder

    def processes(self) -> list[psutil.Process]:
        """All that is here beside the farm."""
        receivers = (self.counting, self.noting, self.bad_receiver)
        return [psutil.Process(self.server.pid), *(each for receiver in receivers for each in receiver.processes)]

    def lead_to(self, receiver: Receiver) -> None:
        """The healthy endpoints' URLs from here on."""
        registry = Registry(self.server.client)
        for number, endpoint in enumerate(self.healthy):
            registry.update(replace(endpoint, url=f"{receiver.url}/{number}"))

    @contextlib.contextmanager
    def enqueuer(self, *endpoints: Endpoint) -> Iterator[Enqueuer]:
        enqueuer = Enqueuer(self.server.url, *endpoints)
        try:
            yield enqueuer
        finally:
            enqueuer.close()

    def fill(self, enqueuer: Enqueuer, jobs: int) -> None:
        """Queues them and waits for the server to be done with it."""
        for start in range(0, jobs, FILL_JOBS):
            enqueuer.enqueue(enqueuer.prepare(min(FILL_JOBS, jobs - start)))
        until(self.server.settled, "the append-only file being rewritten", within_seconds=60)


@contextlib.contextmanager
def running_noisy_neighbour(nginx: Path | None, healthy: int, badness: Badness) -> Iterator[NoisyNeighbour]:
    """Fresh servers, with that nginx or else a recorder to count; all of it is gone at the end."""
    secret = new_secret()
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(directory())
        server = stack.enter_context(running_redis(place / "redis"))
        receiving = (
            running_nginx(nginx, place / "nginx") if nginx else running_recorder(secret, place / "counting")
        )
        counting = stack.enter_context(receiving)
        noting = stack.enter_context(running_recorder(secret, place / "noting"))
        bad = running_recorder(secret, place / "bad", badness.status, badness.after_seconds)
        bad_receiver = stack.enter_context(bad)
        yield NoisyNeighbour(
            place,
            server,
            counting,
            noting,
            tuple(add_endpoint(server.client, f"{counting.url}/{n}", secret) for n in range(healthy)),
            add_endpoint(server.client, bad_receiver.url, secret),
            bad_receiver,
        )
