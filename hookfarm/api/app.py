"""The HTTP application: liveness, readiness and health.

`/livez` says that this process answers, nothing else. `/readyz` says in one word whether every service that was
started is ready, and `/health` says it service by service; both answer 503 when one is not.
"""

from collections.abc import Iterable
from typing import Any

import redis.asyncio
from fastapi import FastAPI
from fastapi.responses import JSONResponse, RedirectResponse

import hookfarm
from hookfarm import keys
from hookfarm.api import health


def build(client: "redis.asyncio.Redis", started: Iterable[str]) -> FastAPI:
    """The application over one Redis; `started` are the services of this farm."""
    app = FastAPI(
        title="hookfarm",
        version=hookfarm.__version__,
        description="EVM event logs as signed webhooks.",
        docs_url=None,
        redoc_url=None,
    )
    services = tuple(service for service in keys.SERVICES if service in set(started))

    @app.get("/livez", summary="Does this process answer?")
    async def livez() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/readyz", summary="Is every started service ready?", responses={503: {"description": "No."}})
    async def readyz() -> JSONResponse:
        found = await health.look(client, services)
        return JSONResponse({"status": found["status"]}, _status_code(found))

    @app.get(
        "/health", summary="Readiness, service by service.", responses={503: {"description": "Not all ready."}}
    )
    async def health_() -> JSONResponse:
        found = await health.look(client, services)
        return JSONResponse(found, _status_code(found))

    @app.get("/", include_in_schema=False)
    async def root() -> RedirectResponse:
        return RedirectResponse("/health")

    return app


def _status_code(found: dict[str, Any]) -> int:
    return 200 if found["status"] == "ready" else 503
