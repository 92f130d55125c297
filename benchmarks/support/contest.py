"""Course for all contestants: a backlog, a receiver, and a window in which arrivals are counted.

    python -m support.contest COURSE

runs a course with this checkout's hookfarm and prints the figures, so that another checkout can measure it
(versions.py).
"""

import argparse
import contextlib
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import psutil

from hookfarm.registry.store import new_secret
from support import backlog
from support.certificates import Certificate, make_certificate
from support.environment import directory
from support.farm import FarmSettings, delivery_farm
from support.limits import Figures
from support.processes import Sample, sample
from support.receivers import Receiver, Recorder, running_nginx, running_recorder
from support.redis_server import RedisServer, running_redis
from support.waiting import until
from support.webhooks import Enqueuer, add_endpoint

WARM_UP_SECONDS = 1.0
WARM_UP_DELAYS = 5
"""Minimum warm-up as a multiple of the receiver's delay, because responses open an endpoint's window."""
MAX_WARM_UP_SHARE, MAX_SHARE = 0.5, 0.95
"""Latest shares of arrived jobs at which the window opens and closes, so that the queue is never empty."""
START_SECONDS = 120.0
LOOK_SECONDS = 0.02
CHECKED_JOBS = 20

Processes = Callable[[], list[psutil.Process]]


@dataclass(frozen=True)
class Course:
    """Jobs for `endpoints` endpoints on one receiver: nginx if its path is given and the delay is 0.

    `start_seconds` is added to the warm-up.
    """

    jobs: int
    seconds: float
    endpoints: int = 1
    delay_seconds: float = 0.0
    tls: bool = False
    nginx: str | None = None
    workers: int = 50
    concurrency: int | None = None
    start_seconds: float = 0.0


def course(options: argparse.Namespace, nginx: Path | None) -> Course:
    """Return the course of the common options --jobs, --seconds, --workers and --concurrency."""
    return Course(
        options.jobs,
        options.seconds,
        nginx=str(nginx) if nginx else None,
        workers=options.workers,
        concurrency=options.concurrency,
    )


@dataclass(frozen=True)
class Field:
    """Running servers of a course."""

    place: Path
    server: RedisServer
    receiver: Receiver
    secret: str
    certificate: Certificate | None
    course: Course

    def urls(self) -> list[str]:
        return [f"{self.receiver.url}/{number}" for number in range(self.course.endpoints)]


class Contestant(Protocol):
    """A program that delivers webhooks from Redis."""

    @property
    def name(self) -> str: ...

    def fill(self, field: Field) -> None:
        """Enqueue the jobs of the course."""

    def running(self, field: Field) -> AbstractContextManager[Processes]:
        """Run the contestant; yields its processes."""


@dataclass(frozen=True)
class Hookfarm:
    """One or more farms of this checkout on one Redis."""

    farms: int = 1
    name: str = "hookfarm"

    def fill(self, field: Field) -> None:
        endpoints = [add_endpoint(field.server.client, url, field.secret) for url in field.urls()]
        enqueuer = Enqueuer(field.server.url, *endpoints)
        backlog.fill(field.server, enqueuer, field.course.jobs)
        enqueuer.close()

    @contextlib.contextmanager
    def running(self, field: Field) -> Iterator[Processes]:
        variables = {"HOOKFARM_CA_FILE": str(field.certificate.certificate)} if field.certificate else {}
        with contextlib.ExitStack() as stack:
            started = []
            for number in range(self.farms):
                course, name = field.course, f"farm-{number}"
                settings = FarmSettings(course.workers, course.concurrency, variables, name=name)
                started.append(stack.enter_context(delivery_farm(field.place, field.server, settings)))
            yield lambda: [process for farm in started for process in farm.processes()]


def run(contestant: Contestant, course: Course) -> Figures:
    """Run a contestant; return deliveries a second and CPU time per delivery in the window."""
    with running_field(course) as field:
        contestant.fill(field)
        backlog.settle(field.server)
        with contestant.running(field) as processes:
            opened, closed = _window(field, processes)
    counted, elapsed = closed.settled - opened.settled, closed.at - opened.at
    used = {name: closed.cpu[name] - opened.cpu[name] for name in opened.cpu}
    return {
        "deliveries_per_second": round(counted / elapsed, 1),
        "cpu_us_per_delivery": {name: part.per(max(counted, 1))["total"] for name, part in used.items()},
        "counted": counted,
        "seconds": round(elapsed, 2),
    }


def medians(runs: Sequence[Figures]) -> Figures:
    """Return the medians of several runs of one contestant."""
    groups = runs[0]["cpu_us_per_delivery"]
    cpu = {name: statistics.median(run["cpu_us_per_delivery"][name] for run in runs) for name in groups}
    rate = statistics.median(run["deliveries_per_second"] for run in runs)
    return {"deliveries_per_second": rate, "cpu_us_per_delivery": cpu}


def check(contestant: Contestant, course: Course) -> None:
    """Deliver a few jobs. Raises AssertionError unless all arrive with a valid signature."""
    with running_field(course, recorder=True) as field:
        assert isinstance(field.receiver, Recorder)
        contestant.fill(field)
        with contestant.running(field) as processes:
            _await(field.receiver, course.jobs, processes)
        arrived = field.receiver.arrivals()
    assert len(arrived) == course.jobs, f"{contestant.name}: {len(arrived)} webhooks of {course.jobs}"


@contextlib.contextmanager
def running_field(course: Course, recorder: bool = False) -> Iterator[Field]:
    """Run servers for a course; remove everything at the end."""
    secret = new_secret()
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(directory())
        server = stack.enter_context(running_redis(place / "redis"))
        certificate = make_certificate(place) if course.tls else None
        receiver: Receiver
        if course.nginx and not course.delay_seconds and not recorder:
            receiver = stack.enter_context(running_nginx(Path(course.nginx), place / "nginx", certificate))
        else:
            receiver = stack.enter_context(
                running_recorder(
                    secret, place / "recorder", after_seconds=course.delay_seconds, certificate=certificate
                )
            )
        yield Field(place, server, receiver, secret, certificate, course)


def warm_up_seconds(course: Course) -> float:
    return course.start_seconds + max(WARM_UP_SECONDS, WARM_UP_DELAYS * course.delay_seconds)


def _window(field: Field, processes: Processes) -> tuple[Sample, Sample]:
    course, receiver = field.course, field.receiver
    _await(receiver, 1, processes)
    _wait(field, warm_up_seconds(course), MAX_WARM_UP_SHARE)
    groups = {
        "workers": processes(),
        "redis": [psutil.Process(field.server.pid)],
        "receiver": receiver.processes,
    }
    opened = sample(groups, receiver.requests())
    _wait(field, course.seconds, MAX_SHARE)
    return opened, sample(groups, receiver.requests())


def _await(receiver: Receiver, count: int, processes: Processes) -> None:
    """Wait until `count` webhooks have arrived. Raises RuntimeError if the contestant ends before."""

    def has_come() -> bool:
        if all(process.status() == psutil.STATUS_ZOMBIE for process in processes()):
            raise RuntimeError("the contestant ended before its webhooks arrived")
        return receiver.requests() >= count

    until(has_come, f"the arrival of {count} webhooks", START_SECONDS, LOOK_SECONDS)


def _wait(field: Field, seconds: float, share: float) -> None:
    """Wait until the time is over or this share of the jobs has arrived."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends and field.receiver.requests() < share * field.course.jobs:
        time.sleep(LOOK_SECONDS)


def main() -> None:
    print(json.dumps(run(Hookfarm(), Course(**json.loads(sys.argv[1])))))


def as_argument(course: Course) -> str:
    return json.dumps(asdict(course))


if __name__ == "__main__":
    main()
