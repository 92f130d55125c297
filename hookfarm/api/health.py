"""Liveness, readiness and health: `/livez` says that this process answers, nothing else. `/readyz` says in one
word whether every service that was started is ready, and `/health` says it service by service; both answer 503
when one is not.

They read the services' keys in Redis, so any host that shares the Redis says the same.
"""

from collections.abc import Sequence
from typing import Any

import orjson
import redis.asyncio
from fastapi import APIRouter
from fastapi.responses import JSONResponse

from hookfarm.api.context import Context
from hookfarm.security import redaction
from hookfarm.store import keys


def build_router(context: Context) -> APIRouter:
    router = APIRouter(tags=["health"])
    client = context.async_client
    services = tuple(service for service in keys.SERVICES if service in set(context.settings.services))

    @router.get("/livez", summary="Does this process answer?")
    async def livez() -> dict[str, str]:
        return {"status": "alive"}

    @router.get("/readyz", summary="Is every started service ready?", responses={503: {"description": "No."}})
    async def readyz() -> JSONResponse:
        found = await look(client, services)
        return JSONResponse({"status": found["status"]}, _status_code(found))

    @router.get(
        "/health", summary="Readiness, service by service.", responses={503: {"description": "Not all ready."}}
    )
    async def health() -> JSONResponse:
        found = await look(client, services)
        return JSONResponse(found, _status_code(found))

    return router


def _status_code(found: dict[str, Any]) -> int:
    return 200 if found["status"] == "ready" else 503


async def look(client: "redis.asyncio.Redis", started: Sequence[str]) -> dict[str, Any]:
    """`{"status":"ready"|"not ready","services":{…}}`, also when Redis itself does not answer.

    A service counts if this farm started it or if another one has said something of it in the last minute.
    """
    names = [key(service) for service in keys.SERVICES for key in (keys.ready, keys.status)]
    try:
        found = await client.mget(names)
    except redis.RedisError as error:
        said = redaction.text(str(error))
        return {"status": "not ready", "redis": said, "services": {s: _unknown() for s in started}}
    services = {
        service: _one(found[2 * index], found[2 * index + 1])
        for index, service in enumerate(keys.SERVICES)
        if service in started or found[2 * index + 1] is not None
    }
    ready = all(entry["ready"] for entry in services.values())
    return {"status": "ready" if ready else "not ready", "redis": "ok", "services": services}


def _unknown() -> dict[str, Any]:
    return {"ready": False, "reason": "Redis does not answer"}


def _one(ready: bytes | str | None, status: bytes | str | None) -> dict[str, Any]:
    try:
        told = orjson.loads(status) if status else {}
    except orjson.JSONDecodeError:
        told = {}
    shown = told if isinstance(told, dict) else {}
    return {**shown, "ready": ready == b"true"}
