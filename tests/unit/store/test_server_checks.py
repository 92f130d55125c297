"""What is made of a Redis server's version, role and settings."""

from typing import Any

import pytest
import redis

from hookfarm.errors import CouldNotBoot
from hookfarm.store.server_checks import await_server, check, evaluate_settings

GOOD = {"maxmemory": "0", "maxmemory-policy": "noeviction", "appendonly": "yes", "timeout": "0"}


class Server(redis.Redis):
    """A server as it describes itself; `failures` are what it answers first."""

    def __init__(
        self, info: dict[str, Any] | None = None, settings: dict[str, str] | None = None, *failures: Exception
    ) -> None:
        self._info = {"redis_version": "7.2.4", "role": "master", **(info or {})}
        self._settings = GOOD if settings is None else settings
        self._failures = list(failures)
        self.pings = 0

    def ping(self, **_: Any) -> bool:
        self.pings += 1
        if self._failures:
            raise self._failures.pop(0)
        return True

    def info(self, *_: Any, **__: Any) -> dict[str, Any]:
        return self._info

    def config_get(self, pattern: Any = "*", *_: Any, **__: Any) -> Any:
        if not self._settings:
            raise redis.ResponseError("unknown command 'CONFIG'")
        return {pattern.encode(): self._settings[pattern].encode()}

    def __del__(self) -> None:
        """There is nothing to close."""


def test_a_good_server_gets_no_warning() -> None:
    assert check(Server()) == []


@pytest.mark.parametrize("version", ["6.2.0", "6.10.1", "7.2.4", 7.2, "9.1.0", "255.255.255"])
def test_versions_from_6_2_on_are_good(version: object) -> None:
    assert check(Server({"redis_version": version})) == []


@pytest.mark.parametrize("version", ["6.0.16", "5.9.9", 6.1, "0"])
def test_an_older_version_is_refused(version: object) -> None:
    with pytest.raises(CouldNotBoot, match=rf"^Redis {version} is too old; 6\.2 or newer is needed$"):
        check(Server({"redis_version": version}))


def test_a_replica_is_refused() -> None:
    with pytest.raises(CouldNotBoot, match=r"^this Redis is a replica; hookfarm needs the primary$"):
        check(Server({"role": "slave"}))


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl", "allkeys-random"])
def test_a_server_that_would_throw_data_away_is_refused(policy: str) -> None:
    with pytest.raises(CouldNotBoot, match=f"^maxmemory-policy is {policy}: .* it must be noeviction$"):
        evaluate_settings({**GOOD, "maxmemory": "100", "maxmemory-policy": policy})


@pytest.mark.parametrize(
    ("setting", "value", "warning"),
    [
        ("maxmemory-policy", "allkeys-lru", "maxmemory-policy is allkeys-lru; it should be noeviction"),
        ("appendonly", "no", "appendonly is no: a restart of Redis loses all data; it should be yes"),
        ("timeout", "300", "timeout is 300: Redis closes idle connections; it should be 0"),
        ("maxmemory", "100", None),
    ],
)
def test_each_setting_that_is_not_as_it_should_be_gets_its_warning(
    setting: str, value: str, warning: str | None
) -> None:
    assert check(Server(settings={**GOOD, setting: value})) == ([warning] if warning else [])


def test_all_warnings_are_given_at_once() -> None:
    assert len(evaluate_settings({"maxmemory-policy": "allkeys-lru", "appendonly": "no", "timeout": "1"})) == 3


def test_a_server_that_hides_its_settings_is_taken_with_a_warning() -> None:
    [warning] = check(Server(settings={}))
    assert warning.startswith("the server hides its settings (CONFIG GET)")


def test_what_a_server_hides_is_taken_from_what_it_tells() -> None:
    info = {"aof_enabled": 0, "maxmemory": 0, "maxmemory_policy": "allkeys-lru"}
    policy, appendonly, hidden = check(Server(info, settings={}))
    assert policy.startswith("maxmemory-policy is allkeys-lru")
    assert appendonly.startswith("appendonly is no")
    assert hidden.startswith("the server hides its settings")
    with pytest.raises(CouldNotBoot, match=r"^maxmemory-policy is allkeys-lru: "):
        check(Server({**info, "maxmemory": 100}, settings={}))


def test_a_cluster_is_refused() -> None:
    with pytest.raises(CouldNotBoot, match=r"^this Redis is a cluster; "):
        check(Server({"cluster_enabled": 1}))


def test_a_server_that_is_still_loading_is_waited_for() -> None:
    server = Server(None, None, redis.BusyLoadingError("loading"), redis.ConnectionError("refused"))
    await_server(server, "redis://h", 60, lambda seconds: False)
    assert server.pings == 3


def test_a_wrong_password_is_not_tried_again() -> None:
    server = Server(None, None, redis.AuthenticationError("WRONGPASS"))
    with pytest.raises(CouldNotBoot, match=r"^Redis at redis://h refused the login: WRONGPASS$"):
        await_server(server, "redis://u:canary@h", 60, lambda seconds: False)
    assert server.pings == 1


def test_a_server_that_does_not_answer_in_time_is_named_without_its_password() -> None:
    server = Server(None, None, *[redis.ConnectionError("refused")] * 3)
    with pytest.raises(CouldNotBoot, match=r"^Redis at redis://h:1/0 does not answer \(refused\); start it, or "):
        await_server(server, "redis://:canary@h:1/0", 0, lambda seconds: False)


def test_waiting_can_be_given_up() -> None:
    server = Server(None, None, redis.ConnectionError("refused"))
    await_server(server, "redis://h", 60, lambda seconds: True)
    assert server.pings == 1
