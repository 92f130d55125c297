"""How a keeper begins, loses Redis, and ends; and what its successor makes of what it left."""

import signal
from pathlib import Path

import redis

from hookfarm.farm.child import EXIT_COULD_NOT_BOOT
from hookfarm.farm.scoreboard import State
from hookfarm.keeper.process import KeeperConfig
from hookfarm.status import readiness
from hookfarm.store import keys
from tests.support.kept_farm import (
    SERVICE,
    KeptFarm,
    drained,
    events_of_the_key,
    ready,
    said,
    wait_ready,
)
from tests.support.redis_server import RedisServer, running_redis
from tests.support.waiting import eventually


def ping(client: redis.Redis) -> None:
    client.ping()


def test_what_a_killed_farm_of_this_host_left_is_gone_before_the_new_one_is_ready(
    farm: KeptFarm, client: redis.Redis
) -> None:
    readiness.publish(client, SERVICE, {})
    farm.start_and_wait()
    eventually(lambda: not ready(client), what="the deletion")
    farm.come_up()
    wait_ready(client, farm)


def test_the_readiness_of_another_host_stays(farm: KeptFarm, client: redis.Redis) -> None:
    readiness.publish(client, SERVICE, {"host": "another"})
    listener = events_of_the_key(client)
    farm.start_and_wait()
    eventually(lambda: said(client, "workers_up") == 0, what="the keeper's first status")
    assert drained(listener) == []
    listener.close()


def test_a_killed_keepers_successor_goes_on_without_a_gap(farm: KeptFarm, client: redis.Redis) -> None:
    farm.start_and_wait()
    farm.come_up()
    wait_ready(client, farm)
    client.expire(keys.ready(SERVICE), 30)
    listener = events_of_the_key(client)
    farm.kill()
    farm.start_and_wait()
    eventually(lambda: client.ttl(keys.ready(SERVICE)) > 30, what="the successor's first refresh")
    assert b"del" not in drained(listener)
    listener.close()


def test_a_killed_keepers_successor_withdraws_what_is_not_true_any_more(
    farm: KeptFarm, client: redis.Redis
) -> None:
    farm.start_and_wait()
    farm.come_up()
    wait_ready(client, farm)
    farm.kill()
    farm.workers[1].on_exit()
    farm.start_and_wait()
    eventually(lambda: not ready(client), what="the withdrawal")


def test_a_redis_that_dies_ends_the_readiness_and_its_return_renews_it(
    farm: KeptFarm, redis_server: RedisServer
) -> None:
    farm.start_and_wait()
    farm.come_up()
    eventually(lambda: farm.scoreboard.is_ready(SERVICE), what="readiness")
    redis_server.kill(synced=True)
    eventually(lambda: not farm.scoreboard.is_ready(SERVICE), what="the end of readiness")
    eventually(lambda: farm.slot.state == State.STALLED, what="the keeper being stalled")
    eventually(lambda: farm.slot.reason.startswith("Redis: "), what="the reason")
    redis_server.start()
    with redis_server.client() as client:
        wait_ready(client, farm)
        assert client.ttl(keys.ready(SERVICE)) > 50
    eventually(lambda: farm.slot.state == State.UP, what="the keeper being up")
    eventually(lambda: "redis up" in farm.log, what="the end of the trouble in the log")
    assert farm.log.count("redis down") == 1, "edges are logged, not ticks"
    assert farm.log.count("redis up") == 1


def test_a_redis_that_comes_back_with_an_old_key_is_set_right(farm: KeptFarm, redis_server: RedisServer) -> None:
    farm.start_and_wait()
    farm.come_up()
    with redis_server.client() as client:
        wait_ready(client, farm)
        client.bgrewriteaof()
        eventually(lambda: not client.info("persistence")["aof_rewrite_in_progress"], what="the key on disk")
    redis_server.kill(synced=True)
    eventually(lambda: not farm.scoreboard.is_ready(SERVICE), what="the end of readiness")
    farm.workers[1].on_exit()
    redis_server.start()
    with redis_server.client() as client:
        eventually(lambda: said(client, "workers_up") == 2, what="the keeper being back")
        assert not ready(client)


def test_on_sigterm_it_deletes_the_keys_first_then_wakes_the_workers_until_they_are_gone(
    farm: KeptFarm, client: redis.Redis
) -> None:
    def wake(redis_client: redis.Redis) -> None:
        redis_client.rpush("woken", redis_client.exists(keys.ready(SERVICE)))

    def after(redis_client: redis.Redis) -> None:
        redis_client.rpush("woken", "after")

    farm.config = KeeperConfig(farm.url, farm.config.services, (), wake, on_stop=after)
    farm.start_and_wait()
    farm.come_up()
    wait_ready(client, farm)
    farm.signal(signal.SIGTERM)
    eventually(lambda: farm.slot.state == State.QUIET, what="the keeper being quiet")
    assert not client.exists("woken"), "only workers that are to stop are woken"
    farm.request_stop()
    eventually(lambda: client.llen("woken") > 2, what="the workers being woken")
    assert set(client.lrange("woken", 0, -1)) == {b"0"}, "no key when the first is woken"
    for slot in farm.workers:
        slot.on_exit()
    assert farm.wait() == 0
    assert client.keys() == [b"woken"]
    assert client.lrange("woken", -2, -1) == [b"0", b"after"]


def test_on_sigterm_without_redis_it_logs_that_and_exits(farm: KeptFarm, redis_server: RedisServer) -> None:
    farm.config = KeeperConfig(farm.url, farm.config.services, (), ping, on_stop=ping)
    farm.start_and_wait()
    farm.come_up()
    eventually(lambda: farm.scoreboard.is_ready(SERVICE), what="readiness")
    redis_server.kill(synced=True)
    farm.signal(signal.SIGTERM)
    eventually(lambda: farm.slot.state == State.QUIET, what="the keeper being quiet")
    for slot in farm.workers:
        slot.on_exit()
    assert farm.wait() == 0
    assert "readiness not withdrawn" in farm.log


def test_without_redis_it_cannot_boot_and_names_the_address(tmp_path: Path) -> None:
    """At once where the server refuses it; a server that does not answer is waited for first."""
    with running_redis() as server, server.client() as client:
        client.config_set("requirepass", "canary")
        farm = KeptFarm(server.url, tmp_path / "log")
        farm.start()
        assert farm.wait() == EXIT_COULD_NOT_BOOT
        assert farm.slot.reason.startswith(f"Redis at {server.url} refused the login: ")


def test_on_sigterm_while_it_waits_for_redis_it_exits(tmp_path: Path) -> None:
    farm = KeptFarm(f"unix://{tmp_path}/none.sock", tmp_path / "log")
    farm.start()
    farm.signal(signal.SIGTERM)
    assert farm.wait() == 0


def test_an_orphaned_keeper_withdraws_and_leaves_although_the_slots_keep_their_pids(
    farm: KeptFarm, client: redis.Redis
) -> None:
    farm.master_pid = 1  # It looks as if its master were dead.
    farm.start_and_wait()
    farm.come_up()
    wait_ready(client, farm)
    farm.signal(signal.SIGTERM)
    assert farm.wait() == 0
    assert client.keys() == []


def test_a_keeper_that_got_sigterm_from_outside_exits_after_its_grace(farm: KeptFarm, client: redis.Redis) -> None:
    """The farm goes on: its successor, not it, cares for the workers."""

    def after(redis_client: redis.Redis) -> None:
        redis_client.set("after", "1")

    farm.config = KeeperConfig(farm.url, farm.config.services, (), on_stop=after)
    farm.start_and_wait()
    farm.come_up()
    wait_ready(client, farm)
    farm.signal(signal.SIGTERM)
    eventually(lambda: farm.slot.state == State.QUIET, what="the keeper being quiet")
    farm.signal(signal.SIGTERM)  # Its grace ends here.
    assert farm.wait() == 0
    assert client.keys() == []
