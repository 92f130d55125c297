"""What the master does for a whole farm: start it anew, stop it, keep its processes apart."""

import http.client
import json
import os
import re
import resource
import shlex
import shutil
import signal
import subprocess
import threading
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis

from hookfarm.delivery_queue.job import Job
from hookfarm.devchain.embedded import running_devchain
from hookfarm.records import Endpoint
from hookfarm.registry.store import Registry
from hookfarm.status import readiness
from hookfarm.store import keys
from tests.support.delivery import PLACES, add_endpoint, enqueue, job, undelivered
from tests.support.farm_processes import (
    CHECKOUT,
    COMMAND,
    TITLE,
    FarmProcess,
    environment,
    hookfarm,
    kill_session,
    title,
)
from tests.support.kept_farm import drained
from tests.support.ledger import assert_drained, assert_ledger_invariant
from tests.support.machine import promised
from tests.support.pipeline import Pipeline
from tests.support.receivers import Reply
from tests.support.waiting import PATIENCE_SECONDS, eventually

SERVICE = keys.WEBHOOK_DELIVERY
CHAIN_ID = 7006
ALL = 50
ENDPOINTS = 20
FILES_THAT_LET_NOBODY_BOOT = 4


def status(client: "redis.Redis") -> dict[str, Any]:
    return readiness.read_status(client, SERVICE) or {}


def health(farm: FarmProcess) -> tuple[int, dict[str, Any]]:
    [port] = re.findall(r"api    http://127\.0\.0\.1:(\d+)", farm.stdout)
    with closing(http.client.HTTPConnection("127.0.0.1", int(port), timeout=5)) as connection:
        connection.request("GET", "/health")
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def sockets_of(process: psutil.Process) -> set[str]:
    """Its open sockets, by their number in the kernel."""
    targets = (os.readlink(file) for file in Path(f"/proc/{process.pid}/fd").iterdir())
    return {target for target in targets if target.startswith("socket:")}


def test_a_worker_that_cannot_boot_backs_off_in_sight_and_comes_back_when_the_cause_is_gone(
    pipeline: Pipeline, client: "redis.Redis"
) -> None:
    farm = pipeline.start(SERVICE, "api", "--workers", "3")
    before = resource.prlimit(farm.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(farm.pid, resource.RLIMIT_NOFILE, (FILES_THAT_LET_NOBODY_BOOT, before[1]))
    farm.workers()[f"{SERVICE} 1"].kill()

    def tried_thrice() -> list[dict[str, Any]]:
        return [shown for shown in status(client).get("backoff", ()) if shown["tries"] >= 3]

    [shown] = eventually(tried_thrice, what="three tries")
    assert (shown["process"], shown["reason"]) == (f"{SERVICE} 1", "cannot start: Too many open files")
    assert shown["retry_in_ms"] > 0

    def health_says_so() -> bool:
        code, told = health(farm)
        service = told["services"].get(SERVICE, {})
        tries = [entry["process"] for entry in service.get("backoff", ())]
        return code == 503 and tries == [f"{SERVICE} 1"] and "forked again in" in str(service.get("reason"))

    def status_says_so() -> bool:
        said = hookfarm("status", "--redis-url", farm.redis_url).stdout
        return bool(re.search(rf"{SERVICE} 1 is forked again in [0-9.]+ s \([0-9]+ tries\): \S", said))

    eventually(health_says_so, what="/health naming it between two tries")
    eventually(status_says_so, what="status naming it between two tries")
    resource.prlimit(farm.pid, resource.RLIMIT_NOFILE, before)
    eventually(lambda: farm.is_ready(SERVICE), what="its coming back by itself")
    eventually(lambda: status(client)["backoff"] == [], what="the status forgetting it")
    assert health(farm)[0] == 200
    assert farm.stop() == 0


def test_a_worker_that_cannot_boot_makes_its_service_ready_at_no_moment_of_its_tries(
    pipeline: Pipeline, client: "redis.Redis"
) -> None:
    farm = pipeline.start(SERVICE, "--workers", "3")
    before = resource.prlimit(farm.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(farm.pid, resource.RLIMIT_NOFILE, (FILES_THAT_LET_NOBODY_BOOT, before[1]))
    client.config_set("notify-keyspace-events", "KA")
    with client.pubsub(ignore_subscribe_messages=True) as listener:
        listener.subscribe(f"__keyspace@0__:{keys.ready(SERVICE)}")
        listener.get_message(timeout=PATIENCE_SECONDS)
        farm.workers()[f"{SERVICE} 1"].kill()
        tried = partial(_tries_of_one, client)
        eventually(lambda: tried() >= 5, within=40, what="five tries")
        said = drained(listener)
        assert said[said.index(b"del") :] == [b"del"], "it went once, and was not set again"
        resource.prlimit(farm.pid, resource.RLIMIT_NOFILE, before)
        eventually(lambda: farm.is_ready(SERVICE), what="its coming back by itself")


def _tries_of_one(client: "redis.Redis") -> int:
    return max((shown["tries"] for shown in status(client).get("backoff", ())), default=0)


@pytest.mark.alone
def test_fifty_workers_killed_at_once_are_at_full_strength_within_five_seconds(
    pipeline: Pipeline, client: "redis.Redis"
) -> None:
    farm = pipeline.start(SERVICE, "--workers", str(ALL))
    killed = farm.workers()
    assert len(killed) == ALL
    for worker in killed.values():
        worker.kill()

    def all_anew() -> bool:
        now = farm.workers()
        return len(now) == ALL and not set(now.values()) & set(killed.values())

    eventually(
        lambda: all_anew() and in_brpop(client) == ALL, within=promised(5.0), what="fifty new ones in BRPOP"
    )
    eventually(lambda: farm.is_ready(SERVICE), what="readiness")
    assert not farm.zombies()


def in_brpop(client: "redis.Redis") -> int:
    return sum(c["cmd"] == "brpop" and "b" in c["flags"] for c in client.client_list())


def jobs_for(endpoints: Sequence[Endpoint], count: int) -> list[Job]:
    """In turn for each of them, so that no window keeps them from being open at once."""
    return [job(endpoints[number % len(endpoints)]) for number in range(count)]


def posting(
    pipeline: Pipeline, client: "redis.Redis", workers: int, jobs: int
) -> tuple[FarmProcess, threading.Event]:
    """A farm whose workers wait for an answer, which the event lets go."""
    answer = threading.Event()
    pipeline.receiver.default = Reply(after=answer)
    endpoints = [add_endpoint(client, pipeline.receiver.url) for _ in range(ENDPOINTS)]
    farm = pipeline.start(SERVICE, "--workers", str(workers))
    enqueue(pipeline.redis_url, *jobs_for(endpoints, jobs))
    pipeline.receiver.wait_for(min(jobs, workers))
    return farm, answer


def test_told_to_stop_no_new_post_starts_and_those_in_flight_finish(
    pipeline: Pipeline, client: "redis.Redis"
) -> None:
    farm, answer = posting(pipeline, client, workers=ALL + 1, jobs=ALL)
    try:
        farm.signal(signal.SIGTERM)
        eventually(lambda: len(farm.workers()) == ALL, what="the idle one leaving, when all have been told")
        assert not client.exists(keys.ready(SERVICE)), "the key has gone first"
        enqueue(pipeline.redis_url, *jobs_for(Registry(client).all(), ALL))
    finally:
        answer.set()
    assert farm.wait() == 0
    assert len(pipeline.receiver.received) == ALL
    assert undelivered(client) == ALL, "the others are still owed"
    assert_ledger_invariant(client)
    assert "killed" not in farm.stderr


@pytest.mark.alone
def test_a_second_term_gives_back_what_is_in_flight_and_is_quick(
    pipeline: Pipeline, client: "redis.Redis"
) -> None:
    farm, answer = posting(pipeline, client, workers=ALL, jobs=ALL)
    try:
        farm.signal(signal.SIGTERM)
        eventually(lambda: "stopping signal=SIGTERM" in farm.stderr, what="the stop")
        eventually(lambda: not client.exists(keys.ready(SERVICE)), what="the key going first")
        farm.signal(signal.SIGTERM)
        assert farm.wait(within=promised(5.0)) == 0
    finally:
        answer.set()
    assert undelivered(client) == ALL
    assert client.llen(keys.DELIVERY_QUEUE) == ALL, "all of them given back, none left for a sweep to find"
    assert_ledger_invariant(client)
    assert not farm.survivors()


def test_each_worker_has_its_own_sockets_to_redis_and_receiver_and_no_others(
    pipeline: Pipeline, client: "redis.Redis"
) -> None:
    """Also the ones that were forked later, when the master has long been at work."""
    workers = 5
    farm, answer = posting(pipeline, client, workers, jobs=2 * workers)
    answer.set()
    eventually(lambda: not undelivered(client), what="the deliveries")
    for name in (f"{SERVICE} 0", f"{SERVICE} 1"):
        farm.workers()[name].kill()
    eventually(lambda: len(farm.workers()) == workers and in_brpop(client) == workers, what="their successors")
    seen: set[str] = set()
    for worker in farm.workers().values():
        assert len(worker.net_connections("unix")) == 2, "Redis: one to pop, one to settle"
        assert {peer.raddr.port for peer in worker.net_connections("tcp")} <= {pipeline.receiver.port}
        own = sockets_of(worker)
        assert len(own) == len(worker.net_connections("all"))
        assert not own & seen
        seen |= own
    assert sockets_of(psutil.Process(farm.pid)) == set(), "the master has none"
    assert farm.stop() == 0


def test_two_masters_on_one_queue_lose_nothing_whatever_happens_to_them(
    pipeline: Pipeline, client: "redis.Redis"
) -> None:
    """One is killed, one is stopped, workers of both are killed; a third finishes what is left."""
    logs, blocks = 20, 12
    with running_devchain(chain_id=CHAIN_ID, logs_per_block=logs) as chain:
        options = (SERVICE, "--workers", "5")
        first = pipeline.start(*keys.SERVICES, "--chain", f"{CHAIN_ID}={chain.ws_url}", "--workers", "5")
        second, third = pipeline.start(*options), pipeline.start(*options)
        pipeline.add_endpoint(CHAIN_ID)
        kills = 0
        for block in range(blocks):
            chain.mine(1)
            pipeline.receiver.wait_for(block * logs + 1)
            for farm in (first, second):
                if not farm.ended:
                    next(iter(farm.workers().values())).kill()
                    kills += 1
            if block == blocks // 2:
                second.signal(signal.SIGKILL)
                kills += 5
        chain.mine(1)
        pipeline.receiver.wait_for(blocks * logs + 1)
        third.signal(signal.SIGTERM)
        wanted = (blocks + 1) * logs
        eventually(lambda: len({r.id for r in pipeline.receiver.received}) == wanted, what="every delivery")
        assert third.wait() == 0
        eventually(lambda: not undelivered(client), what="the ledger drained")
        assert_drained(client)
        assert len(pipeline.receiver.received) - wanted <= kills * PLACES, (
            "more sent twice than dying workers held"
        )
        assert first.stop() == 0


@pytest.mark.parametrize(
    ("jobs", "respawns"), [(500, 10), pytest.param(10_000, 1_000, marks=pytest.mark.chaos)], ids=["short", "long"]
)
def test_files_threads_and_memory_stay_flat(
    pipeline: Pipeline, client: "redis.Redis", jobs: int, respawns: int
) -> None:
    workers = min(respawns, ALL)
    farm = pipeline.start(SERVICE, "--workers", str(workers))
    endpoint = add_endpoint(client, pipeline.receiver.url)

    def deliver(count: int) -> None:
        enqueue(pipeline.redis_url, *(job(endpoint) for _ in range(count)))
        eventually(lambda: not undelivered(client), within=120, what=f"{count} deliveries")

    def replace_all() -> None:
        killed = farm.workers()
        for worker in killed.values():
            worker.kill()
        eventually(lambda: not set(killed.values()) & set(farm.workers().values()), what="their end")
        eventually(lambda: in_brpop(client) == workers, what="all of them in BRPOP")

    deliver(100)
    replace_all()
    deliver(100)
    before = footprints(farm)
    for _ in range(respawns // workers):
        deliver(jobs * workers // respawns)
        replace_all()
    deliver(100)
    after = footprints(farm)
    for name, (files, threads, megabytes) in before.items():
        assert after[name][:2] == (files, threads), f"{name}: {before[name]} -> {after[name]}"
        assert after[name][2] <= megabytes + 3, f"{name}: {before[name]} -> {after[name]}"
    assert not farm.zombies()


def footprints(farm: FarmProcess) -> dict[str, tuple[int, int, float]]:
    """Files but for the connection to the receiver, threads, and MB, of master, keeper and workers."""
    found = {}
    for name, process in {"master": psutil.Process(farm.pid), **farm.children()}.items():
        files = process.num_fds() - len(process.net_connections("tcp"))
        found[name] = files, process.num_threads(), process.memory_info().rss / 1e6
    return found


def test_as_the_first_process_of_a_container_it_reaps_strangers_and_stops_cleanly(
    redis_url: str, client: "redis.Redis", tmp_path: Path
) -> None:
    """PID 1 of a namespace of its own, and the parent of an orphan from before it became hookfarm."""
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("only root may make a namespace for processes")
    start = shlex.join([*COMMAND, "start", SERVICE, "--workers", "2", "--redis-url", redis_url])
    with (tmp_path / "output").open("wb") as output:
        container = subprocess.Popen(
            ["unshare", "--pid", "--fork", "--kill-child", "sh", "-c", f"(sleep 600 &); exec {start}"],
            cwd=CHECKOUT,
            env=environment(),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        eventually(lambda: readiness.is_ready(client, SERVICE), what="readiness")
        [master] = psutil.Process(container.pid).children()
        [stranger] = [child for child in master.children() if child.name() == "sleep"]
        workers = [child for child in master.children() if title(child).startswith(f"{TITLE}{SERVICE} ")]
        stranger.kill()
        workers[0].kill()
        eventually(lambda: not stranger.is_running() and not workers[0].is_running(), what="both being reaped")
        eventually(lambda: in_brpop(client) == 2, what="the worker's successor")
        master.terminate()
        assert container.wait(10) == 0
    finally:
        kill_session(container.pid)
        container.wait()
    assert "sleep" not in (tmp_path / "output").read_text()
