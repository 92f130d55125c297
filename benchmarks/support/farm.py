"""The farm under test, started as a user starts it."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import redis

from hookfarm.status import readiness
from hookfarm.store import keys
from support.processes import family, running
from support.redis_server import RedisServer
from support.waiting import until

TITLE = "hookfarm: "


class Farm:
    """A running `hookfarm start`."""

    def __init__(self, process: "subprocess.Popen[bytes]", output: Path) -> None:
        self._process = process
        self._output = output

    @property
    def pid(self) -> int:
        return self._process.pid

    def until_ready(self, client: "redis.Redis", service: str, every_seconds: float = 0.02) -> None:
        """Waits for the ready key; RuntimeError with what the farm said where it ends before."""
        until(lambda: self._is_ready(client, service), f"{service}:ready", every_seconds=every_seconds)

    def check_alive(self) -> None:
        if self._process.poll() is not None:
            raise RuntimeError(f"hookfarm ended:\n{self.last_words()}")

    def last_words(self) -> str:
        """The last lines of what it wrote."""
        return "\n".join(self._output.read_text(errors="replace").splitlines()[-10:])

    def processes(self) -> list[psutil.Process]:
        """All of it: master, keeper, workers."""
        return family(self.pid)

    def workers(self, service: str = keys.WEBHOOK_DELIVERY) -> list[psutil.Process]:
        """The processes of one service, by their titles."""
        return [p for p in self.processes() if title(p).startswith(f"{TITLE}{service} ")]

    def _is_ready(self, client: "redis.Redis", service: str) -> bool:
        self.check_alive()
        with contextlib.suppress(redis.RedisError):
            return readiness.is_ready(client, service)
        return False


def title(process: psutil.Process) -> str:
    return " ".join(process.cmdline())


@contextlib.contextmanager
def running_farm(place: Path, *options: str, services: Sequence[str] = ()) -> Iterator[Farm]:
    """`hookfarm start` in a process of its own; stopped at the end. Loopback endpoints are allowed."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HOOKFARM_")}
    environment = {**clean, "HOOKFARM_ALLOW_PRIVATE": "127.0.0.0/8", "HOOKFARM_STATE_DIR": str(place)}
    command = [sys.executable, "-m", "hookfarm", "start", *services, *options]
    output = place.with_suffix(".out")
    with running(command, output, environment) as process:
        yield Farm(process, output)


def starting_delivery_farm(
    place: Path, server: RedisServer, workers: int
) -> contextlib.AbstractContextManager[Farm]:
    """`hookfarm start webhook_delivery`, just executed."""
    options = ("--redis-url", server.url, "--workers", str(workers))
    return running_farm(place / "farm", *options, services=(keys.WEBHOOK_DELIVERY,))


@contextlib.contextmanager
def delivery_farm(place: Path, server: RedisServer, workers: int) -> Iterator[Farm]:
    """`hookfarm start webhook_delivery`, ready."""
    with starting_delivery_farm(place, server, workers) as farm:
        farm.until_ready(server.client, keys.WEBHOOK_DELIVERY)
        yield farm
