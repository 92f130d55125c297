"""The readiness of a real farm, seen as its users see it: through the keys."""

import os
import signal
from pathlib import Path

import psutil
import pytest
import redis

from hookfarm.status import readiness
from hookfarm.store import keys
from tests.support.farm_processes import FarmProcess, StartFarm, hookfarm
from tests.support.holding_proxy import holding_proxy
from tests.support.kept_farm import drained, events_of_the_key
from tests.support.machine import promised
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

SERVICE = keys.WEBHOOK_DELIVERY
KEY = keys.ready(SERVICE)


@pytest.fixture
def farm(start_farm: StartFarm, redis_url: str) -> FarmProcess:
    """Three workers, ready and idle."""
    return start_farm(SERVICE, "--workers", "3", redis_url=redis_url).wait_ready()


def in_brpop(clients: list[dict[str, str]]) -> int:
    return sum(c["cmd"] == "brpop" and "b" in c["flags"] for c in clients)


def blocked_in_brpop(client: "redis.Redis") -> int:
    return in_brpop(client.client_list())


def reported(client: "redis.Redis") -> int:
    return sum(int(client.get(key) or 0) for key in client.keys(keys.reported("*")))


def test_ready_only_after_every_worker_blocks_in_brpop(
    start_farm: StartFarm, redis_url: str, client: "redis.Redis"
) -> None:
    farm = start_farm(SERVICE, "--workers", "50", redis_url=redis_url)

    def ready_and_blocked() -> bool:
        """Both of the same moment. A worker that has waited for a second is not blocked until it asks again."""
        with client.pipeline(transaction=True) as pipe:
            pipe.get(KEY)
            pipe.client_list()
            key, clients = pipe.execute()
        return bool(key == b"true" and in_brpop(clients) == 50)

    key = eventually(lambda: client.get(KEY), what="the ready key")
    assert (key, reported(client)) == (b"true", 50)
    eventually(ready_and_blocked, what="all 50 in BRPOP, and the key")
    assert 55 <= client.ttl(KEY) <= 60
    assert len(farm.workers()) == 50


def test_no_key_while_one_worker_has_not_reported_and_the_key_once_it_has(
    start_farm: StartFarm, redis_server: RedisServer, client: "redis.Redis"
) -> None:
    with holding_proxy(redis_server.directory.socket) as door:
        farm = start_farm(SERVICE, "--workers", "5", redis_url=door.url)
        held = door.wait_held()
        assert b"BRPOP" in held.sent, "it reports and pops in one write"
        assert held.name in farm.workers()
        eventually(lambda: blocked_in_brpop(client) == 4, what="the other four in BRPOP")
        assert reported(client) == 4
        assert client.get(KEY) is None
        door.release()
        eventually(lambda: client.get(KEY) == b"true", what="the ready key")
        assert reported(client) == 5
        eventually(lambda: blocked_in_brpop(client) == 5, what="all five in BRPOP")
        assert farm.wait_ready().stop() == 0


@pytest.mark.alone
def test_readiness_expires_with_a_killed_master(farm: FarmProcess, client: "redis.Redis") -> None:
    assert client.get(KEY) == b"true"
    farm.signal(signal.SIGKILL)
    eventually(lambda: not farm.survivors(), within=promised(1.0), what="the end of all its processes")
    # The keeper takes it along in its last moment; were it killed too, the TTL would within the minute.
    assert client.get(KEY) is None
    assert client.get(keys.status(SERVICE)) is None


def test_readiness_outlives_nobody_by_more_than_a_minute(farm: FarmProcess, client: "redis.Redis") -> None:
    """Master and keeper killed at once: nobody is left to delete the key."""
    os.kill(farm.children()["keeper 0"].pid, signal.SIGSTOP)
    farm.signal(signal.SIGKILL)
    for survivor in farm.survivors():
        survivor.kill()
    assert 0 < client.ttl(KEY) <= readiness.TTL_SECONDS


def test_wait_names_the_service_that_is_not_ready(farm: FarmProcess) -> None:
    arguments = ("--timeout", "1", "--redis-url", farm.redis_url)
    said = hookfarm("wait", SERVICE, keys.MESSAGE_PROCESSOR, keys.EVENT_INGESTOR, *arguments)
    assert said.stdout == (
        "Waiting for webhook_delivery to signal readiness...\n"
        "webhook_delivery is ready!\n"
        "Waiting for message_processor to signal readiness...\n"
        "message_processor did not signal readiness within 1s\n"
    )
    assert said.stderr == ""
    assert said.returncode == 1
    said = hookfarm("wait", SERVICE, *arguments)
    assert said.stdout == "Waiting for webhook_delivery to signal readiness...\nwebhook_delivery is ready!\n"
    assert said.returncode == 0


def test_wait_waits_for_a_redis_that_is_not_there_either(tmp_path: Path) -> None:
    said = hookfarm("wait", SERVICE, "--timeout", "0.2", "--redis-url", f"unix://{tmp_path}/none.sock")
    assert said.stdout.endswith("webhook_delivery did not signal readiness within 0.2s\n")
    assert (said.stderr, said.returncode) == ("", 1)


def test_wait_refuses_what_is_no_service() -> None:
    said = hookfarm("wait", "webhooks")
    assert said.returncode == 2
    assert "webhooks" in said.stderr


@pytest.mark.alone
def test_the_key_goes_within_two_seconds_of_a_worker_that_hangs_and_comes_back_with_it(
    farm: FarmProcess, client: "redis.Redis"
) -> None:
    worker = farm.workers()[f"{SERVICE} 1"]
    worker.suspend()
    eventually(lambda: client.get(KEY) is None, within=promised(2.0), what="the withdrawal")
    assert str((readiness.read_status(client, SERVICE) or {})["reason"]).startswith(
        f"{SERVICE} 1 (heartbeat late by "
    )
    worker.resume()
    eventually(lambda: client.get(KEY) == b"true", what="the key's return")
    assert farm.workers()[f"{SERVICE} 1"] == worker, "it came back by itself"


@pytest.mark.alone
def test_the_key_stays_while_a_killed_worker_is_replaced(farm: FarmProcess, client: "redis.Redis") -> None:
    listener = events_of_the_key(client)
    before = farm.workers()
    before[f"{SERVICE} 0"].kill()
    eventually(
        lambda: len(farm.workers()) == 3 and farm.workers() != before, within=promised(1.0), what="the replacement"
    )
    eventually(lambda: blocked_in_brpop(client) == 3, what="the successor in BRPOP")
    for _ in range(2):  # The keeper looks at the scoreboard more than once from one status to the next.
        said = (readiness.read_status(client, SERVICE) or {})["timestamp"]
        eventually(
            lambda old=said: (readiness.read_status(client, SERVICE) or {})["timestamp"] != old,  # type: ignore[misc]
            what="the next status",
        )
    assert b"del" not in drained(listener)
    listener.close()
    assert not farm.zombies()


@pytest.mark.alone
def test_all_workers_killed_at_once_are_back_within_five_seconds(farm: FarmProcess, client: "redis.Redis") -> None:
    killed = farm.workers()
    for worker in killed.values():
        worker.kill()
    eventually(lambda: not set(killed.values()) & set(farm.workers().values()), what="the end of the old workers")
    eventually(
        lambda: blocked_in_brpop(client) == 3 and client.get(KEY) == b"true",
        within=promised(5.0),
        what="readiness",
    )


@pytest.mark.alone
def test_the_key_goes_first_when_the_farm_stops(farm: FarmProcess, client: "redis.Redis") -> None:
    worker = farm.workers()[f"{SERVICE} 2"]
    worker.suspend()  # It cannot go yet.
    farm.signal(signal.SIGTERM)
    eventually(lambda: client.get(KEY) is None, within=promised(1.5), what="the key's deletion")
    assert not farm.ended
    worker.resume()
    assert farm.wait() == 0
    assert not farm.survivors()
    assert client.keys(f"{SERVICE}:*") == []


@pytest.mark.alone
def test_an_idle_farm_stops_within_two_seconds(farm: FarmProcess) -> None:
    farm.signal(signal.SIGTERM)
    assert farm.wait(within=promised(2.0)) == 0


@pytest.mark.alone
def test_a_redis_that_dies_ends_readiness_and_its_return_renews_it(
    farm: FarmProcess, redis_server: RedisServer
) -> None:
    before = farm.workers()
    redis_server.kill()
    eventually(lambda: "redis down" in farm.stderr, what="the keeper noticing")
    redis_server.start()
    with redis_server.client() as client:
        eventually(lambda: client.get(KEY) == b"true", within=promised(3.0), what="readiness")
        eventually(lambda: blocked_in_brpop(client) == 3, what="all workers in BRPOP")
    assert farm.workers() == before, "nobody had to die for it"


@pytest.mark.alone
def test_a_redis_that_lost_everything_gets_a_ready_farm_again(farm: FarmProcess, client: "redis.Redis") -> None:
    client.flushall()
    eventually(lambda: farm.is_ready(SERVICE), within=promised(2.0), what="the key being restored")
    worker = farm.workers()[f"{SERVICE} 0"]
    worker.suspend()
    eventually(lambda: not farm.is_ready(SERVICE), within=promised(2.0), what="the withdrawal")
    worker.resume()
    eventually(lambda: farm.is_ready(SERVICE), what="readiness")


def test_a_killed_keeper_is_replaced_and_the_key_stays(farm: FarmProcess, client: "redis.Redis") -> None:
    listener = events_of_the_key(client)
    before = farm.children()["keeper 0"]
    before.kill()
    eventually(lambda: farm.children().get("keeper 0", before) != before, what="the successor")
    eventually(lambda: b"set" in drained(listener), what="its refresh")
    assert client.get(KEY) == b"true"
    listener.close()


def test_processes_share_no_socket(farm: FarmProcess) -> None:
    seen: dict[str, psutil.Process] = {}
    for process in (psutil.Process(farm.pid), *farm.children().values()):
        for file in os.listdir(f"/proc/{process.pid}/fd"):
            target = os.readlink(f"/proc/{process.pid}/fd/{file}")
            if target.startswith("socket:"):
                assert target not in seen, f"{process} and {seen[target]} share {target}"
                seen[target] = process
    assert len(seen) >= 4, "each worker and the keeper have one"
