"""The settings of real servers, as a starting farm sees them."""

import pytest
import redis

from hookfarm.errors import CouldNotBoot
from hookfarm.store import server_checks
from hookfarm.store.clients import command_client
from tests.support.redis_server import RedisServer, running_redis


def test_the_embedded_servers_settings_are_as_they_should_be(client: "redis.Redis") -> None:
    assert server_checks.check(client) == []


def test_a_replica_is_refused(client: "redis.Redis") -> None:
    client.replicaof("127.0.0.1", 1)
    with pytest.raises(CouldNotBoot, match="replica"):
        server_checks.check(client)


def test_a_server_that_evicts_is_refused() -> None:
    with (
        running_redis("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru") as server,
        server.client() as client,
        pytest.raises(CouldNotBoot, match="maxmemory-policy is allkeys-lru"),
    ):
        server_checks.check(client)


def test_a_server_without_an_append_only_file_gets_a_warning(client: "redis.Redis") -> None:
    client.config_set("appendonly", "no")
    client.config_set("timeout", 60)
    assert [warning.split(" ")[0] for warning in server_checks.check(client)] == ["appendonly", "timeout"]


def test_a_user_who_may_not_see_the_settings_gets_a_warning(
    redis_server: RedisServer, client: "redis.Redis"
) -> None:
    client.acl_setuser("limited", True, passwords=["+pw"], keys=["*"], categories=["+@all"], commands=["-config"])
    with command_client(redis_server.url.replace("unix://", "unix://limited:pw@")) as limited:
        [warning] = server_checks.check(limited)
        assert "hides its settings" in warning
        client.config_set("appendonly", "no")
        client.config_set("maxmemory-policy", "allkeys-lru")
        assert [w.split(" ")[0] for w in server_checks.check(limited)] == ["maxmemory-policy", "appendonly", "the"]
        client.config_set("maxmemory", "100mb")
        with pytest.raises(CouldNotBoot, match=r"^maxmemory-policy is allkeys-lru: "):
            server_checks.check(limited)


def test_a_cluster_is_refused() -> None:
    with (
        running_redis("--cluster-enabled", "yes") as server,
        server.client() as client,
        pytest.raises(CouldNotBoot, match=r"^this Redis is a cluster; "),
    ):
        server_checks.check(client)


@pytest.mark.parametrize("login", ["", "unknown:canary@", ":canary@"])
def test_a_server_that_wants_another_login_is_refused_at_once(
    redis_server: RedisServer, client: "redis.Redis", login: str
) -> None:
    client.config_set("requirepass", "secret")
    url = redis_server.url.replace("unix://", f"unix://{login}")
    with (
        command_client(url) as stranger,
        pytest.raises(CouldNotBoot, match=f"^Redis at {redis_server.url} refused the login: ") as caught,
    ):
        server_checks.await_server(stranger, url, 60, lambda _: pytest.fail("it tried again"))
    assert "canary" not in str(caught.value)
