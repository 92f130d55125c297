"""Readiness as others see it: `<service>:ready` and `<service>:status` in Redis.

The ready key is exactly `true` and lives for a minute; it is refreshed at a third of that while the service
really is ready, and deleted when it is not or is about to stop. Whoever dies without a word takes it along
within that minute.
"""

import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
import redis

from hookfarm import timestamps
from hookfarm.store import keys

TTL_SECONDS = 60
REFRESH_SECONDS = TTL_SECONDS / 3
WAIT_POLL_SECONDS = 0.02
_HOST = socket.gethostname()


def publish(client: "redis.Redis", service: str, status: Mapping[str, Any]) -> None:
    """Says that the service is ready, for the next minute."""
    with client.pipeline(transaction=True) as pipe:
        pipe.set(keys.ready(service), "true", ex=TTL_SECONDS)
        pipe.set(keys.status(service), _encode(status, ready=True), ex=TTL_SECONDS)
        pipe.execute()


def withdraw(client: "redis.Redis", service: str, status: Mapping[str, Any]) -> None:
    """Says that the service is not ready, and why."""
    with client.pipeline(transaction=True) as pipe:
        pipe.delete(keys.ready(service))
        pipe.set(keys.status(service), _encode(status, ready=False), ex=TTL_SECONDS)
        pipe.execute()


def describe(client: "redis.Redis", service: str, status: Mapping[str, Any], ready: bool) -> None:
    """Refreshes the status alone."""
    client.set(keys.status(service), _encode(status, ready), ex=TTL_SECONDS)


def restore(client: "redis.Redis", service: str) -> None:
    """Says it again where Redis has lost it, or another farm that stops has deleted it."""
    client.set(keys.ready(service), "true", ex=TTL_SECONDS, nx=True)


def forget(client: "redis.Redis", services: Sequence[str]) -> None:
    """The farm is stopping: none of its services is ready, nor has a status."""
    names = [key(service) for service in services for key in (keys.ready, keys.status)]
    if names:
        client.delete(*names)


def disown(client: "redis.Redis", service: str) -> None:
    """Deletes what a farm of this host said of the service; another host's word is not ours to take."""
    said = status(client, service)
    if said is not None and said.get("host") == _HOST:
        forget(client, [service])


def is_ready(client: "redis.Redis", service: str) -> bool:
    return client.get(keys.ready(service)) == b"true"


def status(client: "redis.Redis", service: str) -> dict[str, Any] | None:
    """What the service last said of itself, None where it has not for a minute."""
    stored = client.get(keys.status(service))
    if stored is None:
        return None
    try:
        found = orjson.loads(stored)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def wait(client: "redis.Redis", service: str, timeout_seconds: float, pause: Callable[[float], None]) -> bool:
    """Polls until the service is ready; False once `timeout_seconds` have passed. `pause` waits that long.

    A Redis that does not answer yet is waited for like the service: it may be starting too.
    """
    deadline = time.monotonic() + timeout_seconds
    while not _seen_ready(client, service):
        if time.monotonic() >= deadline:
            return False
        pause(WAIT_POLL_SECONDS)
    return True


def _seen_ready(client: "redis.Redis", service: str) -> bool:
    try:
        return is_ready(client, service)
    except redis.RedisError:
        return False


def _encode(status: Mapping[str, Any], ready: bool) -> bytes:
    now = timestamps.format_seconds(time.time())
    return orjson.dumps({"ready": ready, "timestamp": now, "host": _HOST, "pid": os.getppid(), **status})
