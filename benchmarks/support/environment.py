"""Environment of a farm: a directory, a Redis server, a receiver, and an endpoint with the receiver's URL."""

import contextlib
import signal
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hookfarm.records import Endpoint
from hookfarm.registry.store import new_secret
from support.farm import Farm, FarmSettings, delivery_farm
from support.receivers import Receiver, Recorder, running_nginx, running_recorder
from support.redis_server import RedisServer, running_redis
from support.webhooks import Enqueuer, add_endpoint


@dataclass(frozen=True)
class Environment:
    """Environment of a farm; `receiver` is nginx if requested, else a Recorder."""

    place: Path
    server: RedisServer
    receiver: Receiver
    endpoint: Endpoint

    @property
    def recorder(self) -> Recorder:
        assert isinstance(self.receiver, Recorder)
        return self.receiver

    def delivery_farm(self, settings: FarmSettings) -> contextlib.AbstractContextManager[Farm]:
        """Run `hookfarm start webhook_delivery`; yields the farm when it is ready."""
        return delivery_farm(self.place, self.server, settings)

    @contextlib.contextmanager
    def enqueuer(self) -> Iterator[Enqueuer]:
        enqueuer = Enqueuer(self.server.url, self.endpoint)
        try:
            yield enqueuer
        finally:
            enqueuer.close()


@contextlib.contextmanager
def running_environment(nginx: Path | None = None) -> Iterator[Environment]:
    """Run an environment with nginx, if its path is given, or a recorder; remove everything at the end."""
    secret = new_secret()
    with directory() as place, running_redis(place / "redis") as server:
        receiving = (
            running_nginx(nginx, place / "nginx") if nginx else running_recorder(secret, place / "recorder")
        )
        with receiving as receiver:
            yield Environment(place, server, receiver, add_endpoint(server.client, receiver.url, secret))


@contextlib.contextmanager
def directory() -> Iterator[Path]:
    """Make a temporary directory."""
    with tempfile.TemporaryDirectory(prefix="hf-bench-") as place:
        yield Path(place)


def end_on_sigterm() -> None:
    """Make SIGTERM end the benchmark like ctrl-C, with all processes that it started."""
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
