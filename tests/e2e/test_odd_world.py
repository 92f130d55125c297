"""Farms in a world where the clock jumps and names do not resolve: tests/support/odd_world."""

import os
import signal
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import redis

from hookfarm.store import keys
from tests.support.delivery import add_endpoint, enqueue, job, undelivered
from tests.support.farm_processes import CHECKOUT, FarmProcess
from tests.support.ledger import assert_drained
from tests.support.pipeline import LOOPBACK, Pipeline
from tests.support.receivers import Reply
from tests.support.waiting import eventually

SERVICE = keys.WEBHOOK_DELIVERY
WORLD = CHECKOUT / "tests" / "support" / "odd_world"
HOUR = 3600.0
TIMEOUT_SECONDS = 1
KILLED_WITHIN_SECONDS = 5.0
"""After the deadline of what a worker was doing."""
SLACK_SECONDS = 3.0
"""What a worker promises beyond the deadline of its POST, and what a slow machine takes."""


StartThere = Callable[..., FarmProcess]


@pytest.fixture
def start_there(pipeline: Pipeline) -> StartThere:
    """Starts a farm in that world."""

    def start(*arguments: str, **variables: str) -> FarmProcess:
        path = os.pathsep.join(filter(None, (str(WORLD), os.environ.get("PYTHONPATH"))))
        farm = pipeline.start_farm(
            *arguments,
            redis_url=pipeline.redis_url,
            HOOKFARM_ALLOW_PRIVATE=LOOPBACK,
            PYTHONPATH=path,
            **variables,
        )
        return farm.wait_ready()

    return start


class Clock:
    """How far off the wall clock of that world is, for all its processes at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.step(0.0)

    def step(self, seconds: float) -> None:
        with self.path.open("r+b" if self.path.exists() else "wb") as file:
            file.write(struct.pack("d", seconds))


def test_a_clock_that_jumps_an_hour_kills_nobody_and_orphans_nothing(
    pipeline: Pipeline, client: "redis.Redis", start_there: StartThere, tmp_path: Path
) -> None:
    """Forth, back and beyond, each time in the middle of a POST of every worker."""
    clock = Clock(tmp_path / "clock")
    farm = start_there(SERVICE, "--workers", "3", ODD_WORLD_CLOCK=str(clock.path))
    before = farm.children()
    endpoints = [add_endpoint(client, pipeline.receiver.url) for _ in range(3)]
    for round_, offset in enumerate((HOUR, 0.0, -HOUR, HOUR)):
        answer = threading.Event()
        pipeline.receiver.default = Reply(after=answer)
        enqueue(pipeline.redis_url, *(job(endpoint) for endpoint in endpoints * 2))
        pipeline.receiver.wait_for(6 * round_ + 3)
        clock.step(offset)
        answer.set()
        pipeline.receiver.wait_for(6 * round_ + 6)
        eventually(lambda: not undelivered(client), what="the ledger drained")
    sent_at = [int(received.header("webhook-timestamp")) for received in pipeline.receiver.received]
    assert max(sent_at) - min(sent_at) > HOUR, "the clock really jumped"
    assert len({received.id for received in pipeline.receiver.received}) == len(sent_at) == 4 * 6
    assert_drained(client)
    assert farm.children() == before
    assert farm.is_ready(SERVICE)
    for trouble in ("hangs", "died", "orphan", "not ready"):
        assert trouble not in farm.stderr
    assert farm.stop() == 0


@pytest.mark.chaos
@pytest.mark.parametrize("host", ["spinning.example", "stuck.example", ""], ids=["spins", "resolves", "stopped"])
def test_a_worker_that_does_not_come_back_is_killed_in_time_and_its_job_delivered_again(
    pipeline: Pipeline, client: "redis.Redis", start_there: StartThere, tmp_path: Path, host: str
) -> None:
    farm = start_there(SERVICE, "--workers", "2", ODD_WORLD_ONCE=str(tmp_path))
    before = farm.workers()
    url = pipeline.receiver.url.replace("127.0.0.1", host) if host else pipeline.receiver.url
    endpoint = add_endpoint(client, url, timeout_seconds=TIMEOUT_SECONDS)
    answer = threading.Event()
    if not host:
        pipeline.receiver.reply_with(Reply(after=answer))
    enqueue(pipeline.redis_url, job(endpoint, "a"))
    if host:
        eventually((tmp_path / host).exists, what="a worker resolving the name")
    else:
        pipeline.receiver.wait_for(1)
        busy(farm).send_signal(signal.SIGSTOP)
    within = TIMEOUT_SECONDS + KILLED_WITHIN_SECONDS + SLACK_SECONDS
    eventually(lambda: "child died" in farm.stderr, within=within, what="its death")
    answer.set()
    pipeline.receiver.wait_for(1 if host else 2)
    assert {received.id for received in pipeline.receiver.received} == {"a"}
    eventually(lambda: not undelivered(client), what="the ledger drained")
    eventually(lambda: len(farm.workers()) == 2 and farm.is_ready(SERVICE), what="its successor")
    assert len(set(before.values()) & set(farm.workers().values())) == 1, "the other one lived"
    assert_drained(client)


def busy(farm: FarmProcess) -> psutil.Process:
    """The worker that has a connection to a receiver."""
    [found] = [worker for worker in farm.workers().values() if worker.net_connections("tcp")]
    return found
