"""The readiness of the services as their keys in Redis say it, for any host that shares the Redis."""

from collections.abc import Sequence
from typing import Any

import orjson
import redis.asyncio

from hookfarm import keys


async def look(client: "redis.asyncio.Redis", started: Sequence[str]) -> dict[str, Any]:
    """`{"status":"ready"|"not ready","services":{…}}`, also when Redis itself does not answer.

    A service counts if this farm started it or if another one has said something of it in the last minute.
    """
    names = [key(service) for service in keys.SERVICES for key in (keys.ready, keys.status)]
    try:
        found = await client.mget(names)
    except redis.RedisError as error:
        return {"status": "not ready", "redis": str(error), "services": {s: _unknown() for s in started}}
    services = {
        service: _one(found[2 * index], found[2 * index + 1])
        for index, service in enumerate(keys.SERVICES)
        if service in started or found[2 * index + 1] is not None
    }
    ready = all(entry["ready"] for entry in services.values())
    return {"status": "ready" if ready else "not ready", "redis": "ok", "services": services}


def _unknown() -> dict[str, Any]:
    return {"ready": False, "why": "Redis does not answer"}


def _one(ready: bytes | str | None, status: bytes | str | None) -> dict[str, Any]:
    try:
        told = orjson.loads(status) if status else {}
    except orjson.JSONDecodeError:
        told = {}
    shown = told if isinstance(told, dict) else {}
    return {**shown, "ready": ready == b"true"}
