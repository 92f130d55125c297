"""What takes the farm's whole patience, with the real budgets: all run at once, each test looks at one."""

from collections.abc import Iterator
from dataclasses import dataclass

import psutil
import pytest
import redis

from hookfarm.store import keys
from tests.support.farm_processes import FarmProcess, hookfarm, started_farms
from tests.support.holding_proxy import Held, holding_proxy
from tests.support.redis_server import running_redis
from tests.support.waiting import eventually

WORKERS = 6
CANARY = "canary-4711"
NO_REDIS = f"redis://user:{CANARY}@127.0.0.1:1/0"
"""Port 1 of this machine: refused at once."""


@dataclass
class Tried:
    """Farms whose patience is being tried."""

    held_back: FarmProcess
    held: Held
    redis_of_held: redis.Redis
    without_redis: FarmProcess
    with_stopped_worker: FarmProcess
    stopped: psutil.Process


@pytest.fixture(scope="module")
def tried() -> Iterator[Tried]:
    with running_redis() as server, holding_proxy(server.directory.socket) as door, started_farms() as start:
        held_back = start(keys.WEBHOOK_DELIVERY, "--workers", str(WORKERS), redis_url=door.url)
        without_redis = start(keys.WEBHOOK_DELIVERY, redis_url=NO_REDIS)
        with_stopped_worker = start(keys.WEBHOOK_DELIVERY, "--workers", "2").wait_ready()
        stopped = with_stopped_worker.workers()["webhook_delivery 0"]
        stopped.suspend()
        with server.client() as client:
            yield Tried(held_back, door.wait_held(), client, without_redis, with_stopped_worker, stopped)


@pytest.fixture(autouse=True)
def nothing_left_behind(tried: Tried) -> None:
    """These farms outlive each test here; with the last one they are gone."""


def blocked_in_brpop(client: redis.Redis) -> int:
    return sum(c["cmd"] == "brpop" and "b" in c["flags"] for c in client.client_list())


def test_while_one_worker_is_held_back_no_key_appears_and_the_start_fails_and_names_it(tried: Tried) -> None:
    farm, client = tried.held_back, tried.redis_of_held
    name = tried.held.name
    eventually(lambda: farm.ended or blocked_in_brpop(client) == WORKERS - 1, what="the others in BRPOP")
    eventually(
        lambda: farm.ended or client.exists(keys.ready(keys.WEBHOOK_DELIVERY)),
        what="the end of the start",
    )
    assert not client.exists(keys.ready(keys.WEBHOOK_DELIVERY))
    assert farm.wait() == 1
    last = farm.stderr.splitlines()[-1]
    assert last.startswith(f"hookfarm: webhook_delivery did not signal readiness within 10s: {name} (")
    assert last.count("webhook_delivery ") == 2, "no other is named"
    assert farm.stdout == ""
    assert "Traceback" not in farm.stderr
    assert not farm.survivors()


def test_without_redis_the_start_fails_within_ten_seconds_and_names_the_address(tried: Tried) -> None:
    farm = tried.without_redis
    assert farm.wait() == 1
    *logged, last = farm.stderr.splitlines()
    expected = "hookfarm: keeper 0 could not start: Redis at redis://127.0.0.1:1/0 does not answer ("
    assert last.startswith(expected)
    assert [line for line in logged if " info " not in line and "no master key" not in line] == []
    assert CANARY not in farm.stderr
    assert not farm.survivors()


def test_a_worker_that_is_stopped_is_killed_in_time_and_replaced(tried: Tried) -> None:
    """Its heartbeat is due after 1.25 s; then it has 4 s, and 1 s to print where it hangs."""
    farm = tried.with_stopped_worker
    eventually(lambda: not tried.stopped.is_running(), within=9.0, what="its end")
    eventually(lambda: farm.is_ready(keys.WEBHOOK_DELIVERY), what="readiness")
    assert len(farm.workers()) == 2
    assert farm.stderr.count("child died") == 1
    assert not farm.zombies()


def test_status_without_redis_names_the_address() -> None:
    said = hookfarm("status", "--redis-url", NO_REDIS)
    assert (said.returncode, said.stdout) == (1, "")
    [line] = said.stderr.splitlines()
    assert line.startswith("hookfarm: Redis at redis://127.0.0.1:1/0 does not answer: ")
