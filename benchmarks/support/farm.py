"""The measured farm, started as a user starts it."""

import contextlib
import functools
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import redis

from hookfarm.status import readiness
from hookfarm.store import keys
from support.processes import family, running
from support.redis_server import RedisServer
from support.waiting import until

TITLE = "hookfarm: "
_RUN = (sys.executable, "-P", "-m", "hookfarm", "start")
"""-P keeps the current directory out of the module path: hookfarm is the installed one, or that on PYTHONPATH."""


@dataclass(frozen=True)
class FarmSettings:
    """Settings of `hookfarm start webhook_delivery`.

    `prefix` is a command that runs it; `name` is the name of its directory.
    """

    workers: int = 50
    concurrency: int | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    prefix: tuple[str, ...] = ()
    name: str = "farm"

    def options(self) -> tuple[str, ...]:
        """Return the options; without `--concurrency` if this version of the farm does not have it."""
        wanted = self.concurrency is not None and has_option("--concurrency")
        in_flight = ("--concurrency", str(self.concurrency)) if wanted else ()
        return ("--workers", str(self.workers), *in_flight)


@functools.cache
def has_option(name: str) -> bool:
    """Return whether `hookfarm start` has this option."""
    shown = subprocess.run((*_RUN, "--help"), capture_output=True, text=True, check=True)
    return name in shown.stdout


class Farm:
    """A running `hookfarm start`."""

    def __init__(self, process: "subprocess.Popen[bytes]", output: Path) -> None:
        self._process = process
        self._output = output

    @property
    def pid(self) -> int:
        return self._process.pid

    def until_ready(self, client: "redis.Redis", service: str, every_seconds: float = 0.02) -> None:
        """Wait for the ready key. Raises RuntimeError with the last log lines if the farm ends before."""
        until(lambda: self._is_ready(client, service), f"{service}:ready", every_seconds=every_seconds)

    def check_alive(self) -> None:
        if self._process.poll() is not None:
            raise RuntimeError(f"hookfarm ended:\n{self.last_words()}")

    def last_words(self) -> str:
        """Return the last lines of the output."""
        return "\n".join(self._output.read_text(errors="replace").splitlines()[-10:])

    def processes(self) -> list[psutil.Process]:
        """Return all processes: master, keeper, workers."""
        return family(self.pid)

    def workers(self, service: str = keys.WEBHOOK_DELIVERY) -> list[psutil.Process]:
        """Return the processes of one service, found by their titles."""
        return [p for p in self.processes() if title(p).startswith(f"{TITLE}{service} ")]

    def _is_ready(self, client: "redis.Redis", service: str) -> bool:
        self.check_alive()
        with contextlib.suppress(redis.RedisError):
            return readiness.is_ready(client, service)
        return False


def title(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


@contextlib.contextmanager
def running_farm(
    place: Path,
    *options: str,
    services: Sequence[str] = (),
    variables: Mapping[str, str] | None = None,
    prefix: Sequence[str] = (),
) -> Iterator[Farm]:
    """Run `hookfarm start`, with loopback endpoints allowed; stop it at the end."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HOOKFARM_")}
    own = {"HOOKFARM_ALLOW_PRIVATE": "127.0.0.0/8", "HOOKFARM_STATE_DIR": str(place)}
    output = place.with_suffix(".out")
    command = [*prefix, *_RUN, *services, *options]
    with running(command, output, {**clean, **own, **(variables or {})}) as process:
        yield Farm(process, output)


def starting_delivery_farm(
    place: Path, server: RedisServer, settings: FarmSettings
) -> contextlib.AbstractContextManager[Farm]:
    """Run `hookfarm start webhook_delivery`; yields the farm at once, before it is ready."""
    return running_farm(
        place / settings.name,
        *("--redis-url", server.url, *settings.options()),
        services=(keys.WEBHOOK_DELIVERY,),
        variables=settings.variables,
        prefix=settings.prefix,
    )


@contextlib.contextmanager
def delivery_farm(place: Path, server: RedisServer, settings: FarmSettings) -> Iterator[Farm]:
    """Run `hookfarm start webhook_delivery`; yields the farm when it is ready."""
    with starting_delivery_farm(place, server, settings) as farm:
        farm.until_ready(server.client, keys.WEBHOOK_DELIVERY)
        yield farm
