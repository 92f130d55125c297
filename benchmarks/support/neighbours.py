"""Healthy endpoints beside failing ones, with their own servers."""

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from hookfarm.records import Endpoint
from hookfarm.registry.store import Registry, new_secret
from support import backlog, dead_dns
from support.dead_dns import DeadNameServer
from support.environment import directory
from support.receivers import Receiver, Recorder, running_nginx, running_recorder
from support.redis_server import RedisServer, running_redis
from support.webhooks import Enqueuer, add_endpoint


@dataclass(frozen=True)
class Fault:
    """Fault of an endpoint. `status` 0 = it never responds; `recorder` = it has a receiver."""

    status: int = 0
    after_seconds: float = 0.0
    drip: bool = False
    recorder: bool = True
    dead_name: bool = False


FAULTS = {
    "silent": Fault(),
    "refusing": Fault(recorder=False),
    "failing": Fault(500),
    "slow": Fault(200, after_seconds=10.0),
    "dripping": Fault(drip=True),
    "dead-names": Fault(recorder=False, dead_name=True),
}


@dataclass(frozen=True)
class Neighbours:
    """Receivers of healthy webhooks: `counting` measures throughput, `noting` measures latency."""

    place: Path
    server: RedisServer
    counting: Receiver
    noting: Recorder
    healthy: tuple[Endpoint, ...]
    failing: tuple[Endpoint, ...]
    failing_receiver: Recorder | None
    name_server: DeadNameServer | None

    @property
    def prefix(self) -> tuple[str, ...]:
        """Return the prefix of the command that runs the farm."""
        return self.name_server.prefix if self.name_server else ()

    def failing_requests(self) -> int:
        """Return the number of attempts that reached the failing endpoints or their name server."""
        if self.name_server:
            return self.name_server.queries()
        return self.failing_receiver.requests() if self.failing_receiver else 0

    def lead_to(self, receiver: Receiver) -> None:
        """Change the URLs of the healthy endpoints."""
        registry = Registry(self.server.client)
        for number, endpoint in enumerate(self.healthy):
            registry.update(replace(endpoint, url=f"{receiver.url}/{number}"))

    def fill(self, endpoints: tuple[Endpoint, ...], jobs: int) -> None:
        """Enqueue jobs for these endpoints in turn."""
        enqueuer = Enqueuer(self.server.url, *endpoints)
        backlog.fill(self.server, enqueuer, jobs)
        enqueuer.close()


@contextlib.contextmanager
def running_neighbours(
    nginx: Path | None, healthy: int, healthy_seconds: float, fault: Fault, failing: int
) -> Iterator[Neighbours]:
    """Run the servers; nginx is `counting` if it is given and the healthy endpoints have no delay."""
    secret = new_secret()
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(directory())
        server = stack.enter_context(running_redis(place / "redis"))
        counting: Receiver
        if nginx and not healthy_seconds:
            counting = stack.enter_context(running_nginx(nginx, place / "nginx"))
        else:
            own = running_recorder(secret, place / "counting", after_seconds=healthy_seconds)
            counting = stack.enter_context(own)
        noting = running_recorder(secret, place / "noting", after_seconds=healthy_seconds)
        bad = running_recorder(secret, place / "failing", fault.status, fault.after_seconds, fault.drip)
        bad_receiver = stack.enter_context(bad) if fault.recorder else None
        urls = _urls(fault, bad_receiver.url if bad_receiver else _refusing_url(stack), failing)
        dns = dead_dns.dead_name_server(place) if fault.dead_name else contextlib.nullcontext()
        yield Neighbours(
            place,
            server,
            counting,
            stack.enter_context(noting),
            tuple(add_endpoint(server.client, f"{counting.url}/{n}", secret) for n in range(healthy)),
            tuple(add_endpoint(server.client, url, secret) for url in urls),
            bad_receiver,
            stack.enter_context(dns),
        )


def _urls(fault: Fault, receiver_url: str, count: int) -> list[str]:
    if fault.dead_name:
        return [f"http://{dead_dns.NAME.format(number=number)}/hook" for number in range(count)]
    return [f"{receiver_url}/{number}" for number in range(count)]


def _refusing_url(stack: contextlib.ExitStack) -> str:
    """Return a URL with a port that is bound but does not listen."""
    bound = stack.enter_context(socket.socket())
    bound.bind(("127.0.0.1", 0))
    return f"http://127.0.0.1:{bound.getsockname()[1]}/hook"
