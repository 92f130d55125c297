"""What the farm is put on: a directory, a Redis server, a receiver, and an endpoint that leads there."""

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
    """`receiver` is a Recorder unless nginx was asked for."""

    place: Path
    server: RedisServer
    receiver: Receiver
    endpoint: Endpoint

    @property
    def recorder(self) -> Recorder:
        assert isinstance(self.receiver, Recorder)
        return self.receiver

    def delivery_farm(self, settings: FarmSettings) -> contextlib.AbstractContextManager[Farm]:
        """`hookfarm start webhook_delivery`, ready."""
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
    """A fresh environment, with that nginx or else a recorder as its receiver; all of it is gone at the end."""
    secret = new_secret()
    with directory() as place, running_redis(place / "redis") as server:
        receiving = (
            running_nginx(nginx, place / "nginx") if nginx else running_recorder(secret, place / "recorder")
        )
        with receiving as receiver:
            yield Environment(place, server, receiver, add_endpoint(server.client, receiver.url, secret))


@contextlib.contextmanager
def directory() -> Iterator[Path]:
    """A directory that is gone at the end."""
    with tempfile.TemporaryDirectory(prefix="hf-bench-") as place:
        yield Path(place)


def end_on_sigterm() -> None:
    """SIGTERM ends the benchmark as ctrl-C does: with everything that it started."""
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
