"""Start-up checks: whether a Redis server keeps its data and can run the scripts."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import redis

from hookfarm.errors import CouldNotBoot
from hookfarm.security.redaction import redis_address
from hookfarm.store.clients import Client

MIN_VERSION = (6, 2)
_SETTINGS = ("maxmemory", "maxmemory-policy", "appendonly", "timeout")
_HIDDEN = "the server hides its settings (CONFIG GET); make sure that timeout is 0"


def await_server(client: Client, url: str, seconds: float, pause: Callable[[float], bool]) -> None:
    """Wait until the server answers and has loaded its data. Raises CouldNotBoot with address and error.

    `pause(seconds)` waits, and returns True to give up.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            client.ping()
            return
        except redis.AuthenticationError as error:
            raise CouldNotBoot(f"Redis at {redis_address(url)} refused the login: {error}") from error
        except redis.RedisError as error:
            if time.monotonic() > deadline:
                hint = "start it, or omit redis-url to run an embedded server"
                raise CouldNotBoot(f"Redis at {redis_address(url)} does not answer ({error}); {hint}") from error
        if pause(0.01):
            return


def check(client: Client) -> list[str]:
    """Return warnings, one line each. Raises CouldNotBoot if data would be lost or scripts would fail."""
    info: dict[str, Any] = client.info()
    _refuse(info)
    try:
        found = {k: v for name in _SETTINGS for k, v in client.config_get(name).items()}
    except redis.ResponseError:
        return [*evaluate_settings(_settings_from_info(info)), _HIDDEN]
    return evaluate_settings({_text(k): _text(v) for k, v in found.items()})


def _refuse(info: Mapping[str, Any]) -> None:
    version = str(info.get("redis_version", "0"))
    if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < MIN_VERSION:
        raise CouldNotBoot(f"Redis {version} is too old; 6.2 or newer is needed")
    if info.get("role", "master") != "master":
        raise CouldNotBoot("this Redis is a replica; hookfarm needs the primary")
    if str(info.get("cluster_enabled", 0)) == "1":
        raise CouldNotBoot(
            "this Redis is a cluster; hookfarm needs a single server, because one script moves a job"
        )


def _settings_from_info(info: Mapping[str, Any]) -> dict[str, str]:
    """Return the settings that INFO contains, for managed servers, which hide CONFIG GET."""
    found = {"maxmemory": info.get("maxmemory"), "maxmemory-policy": info.get("maxmemory_policy")}
    if "aof_enabled" in info:
        found["appendonly"] = "yes" if str(info["aof_enabled"]) == "1" else "no"
    return {name: str(value) for name, value in found.items() if value is not None}


def evaluate_settings(settings: Mapping[str, str]) -> list[str]:
    """Return the warnings for a server's settings. Raises CouldNotBoot if it would evict data."""
    policy = settings.get("maxmemory-policy", "noeviction")
    if policy != "noeviction" and settings.get("maxmemory", "0") != "0":
        raise CouldNotBoot(f"maxmemory-policy is {policy}: Redis would evict deliveries; it must be noeviction")
    warnings = []
    if policy != "noeviction":
        warnings.append(f"maxmemory-policy is {policy}; it should be noeviction")
    if settings.get("appendonly", "yes") != "yes":
        warnings.append("appendonly is no: a restart of Redis loses all data; it should be yes")
    if settings.get("timeout", "0") != "0":
        warnings.append(f"timeout is {settings['timeout']}: Redis closes idle connections; it should be 0")
    return warnings


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
