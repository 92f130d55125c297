"""Liveness, readiness and health.

`/livez` returns 200 while this process answers. `/readyz` returns whether all started services are ready,
`/health` the status of each. Both return 503 if a service is not ready. They read the services' keys in Redis, so
all hosts on the Redis return the same.

event_ingestor is ready when the required chains are, by default all chains of the farm. `/readyz?chain=ID`
requires only that chain.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import redis
from fastapi import APIRouter
from fastapi.responses import JSONResponse

from hookfarm.api.context import Context
from hookfarm.api.requests import ChainFilter
from hookfarm.errors import NotFound
from hookfarm.security import redaction
from hookfarm.status import readiness
from hookfarm.store import keys
from hookfarm.store.clients import AsyncClient


def build_router(context: Context) -> APIRouter:
    router = APIRouter(tags=["health"])
    client = context.async_client
    services = tuple(service for service in keys.SERVICES if service in set(context.settings.services))
    required = context.settings.required_chains
    configured = {chain.chain_id for chain in context.settings.chains}

    @router.get(
        "/livez",
        summary="Return 200 if this process answers.",
        response_description="The process answers.",
    )
    async def livez() -> dict[str, str]:
        return {"status": "alive"}

    @router.get(
        "/readyz",
        summary="Return whether all started services are ready.",
        response_description="All are ready.",
        responses={
            404: {"description": "No farm watches the chain."},
            422: {"description": "Invalid chain id."},
            503: {"description": "Not ready."},
        },
    )
    async def readyz(chain: ChainFilter = None) -> JSONResponse:
        """With `chain`, event_ingestor is ready when it follows this chain."""
        found = await read_health(client, services, required if chain is None else (chain,))
        if chain is not None and found["redis"] == "ok" and chain not in configured | _reported(found):
            raise NotFound(f"no chain {chain}")
        return JSONResponse({"status": found["status"]}, _status_code(found))

    @router.get(
        "/health",
        summary="Return the status of each service.",
        response_description="All are ready.",
        responses={503: {"description": "Not ready."}},
    )
    async def health() -> JSONResponse:
        found = await read_health(client, services, required)
        return JSONResponse(found, _status_code(found))

    return router


def _reported(health: Mapping[str, Any]) -> set[int]:
    """Return the chains with an ingestor, of any farm."""
    return {chain["chain_id"] for chain in health["services"].get(keys.EVENT_INGESTOR, {}).get("chains", ())}


def _status_code(found: Mapping[str, Any]) -> int:
    return 200 if found["status"] == "ready" else 503


async def read_health(client: AsyncClient, started: Sequence[str], chains: Sequence[int] = ()) -> dict[str, Any]:
    """Return `{"status": "ready"|"not ready", "redis": …, "services": {…}}`, even if Redis does not answer.

    A service is included if this farm started it, or if any farm wrote its status in the last minute. With
    `chains`, event_ingestor is ready when these chains are.
    """
    try:
        async with client.pipeline(transaction=False) as pipe:
            readiness.request_services(pipe)
            for chain_id in chains:
                pipe.get(keys.ready(keys.ingestor_of(chain_id)))
            replies = await pipe.execute()
            split = len(replies) - len(chains)
            found: Mapping[str, Any] = readiness.parse_services(replies[:split])
            are_chains_ready = all(reply == b"true" for reply in replies[split:])
    except redis.RedisError as error:
        unknown = {"ready": False, "reason": "Redis does not answer"}
        return {
            "status": "not ready",
            "redis": redaction.sanitize(str(error)),
            "services": dict.fromkeys(started, unknown),
        }
    services = {
        name: service for name, service in found.items() if name in started or service["status_age_ms"] is not None
    }
    ready = all(
        are_chains_ready if chains and name == keys.EVENT_INGESTOR else service["ready"]
        for name, service in services.items()
    )
    if chains and keys.EVENT_INGESTOR not in services:
        ready = False
    return {"status": "ready" if ready else "not ready", "redis": "ok", "services": services}
