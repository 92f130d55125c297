"""The HTTP application, and the uvicorn server that runs it inside a child of the farm."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator

import uvicorn
from fastapi import APIRouter, Depends, FastAPI

import hookfarm
from hookfarm.api import (
    auth,
    dashboard,
    dead_letters,
    deliveries,
    endpoint_test,
    endpoints,
    health,
    metrics,
    openapi,
    requests,
    responses,
    stats,
)
from hookfarm.api.context import REDIS_TIMEOUT_SECONDS, Context, Settings
from hookfarm.farm.async_child import heartbeat
from hookfarm.farm.child import Child
from hookfarm.store.clients import async_client, command_client

BuildRouter = Callable[[Context], APIRouter]

OPEN: tuple[BuildRouter, ...] = (health.build_router, metrics.build_router, dashboard.build_router)
"""Routers that need no token."""
WITH_TOKEN: tuple[BuildRouter, ...] = (
    endpoints.build_router,
    endpoint_test.build_router,
    deliveries.build_router,
    dead_letters.build_router,
    stats.chains_router,
    stats.backfills_router,
    stats.stats_router,
)
"""Routers under /v1, which need the token."""


def build(context: Context) -> FastAPI:
    """Return the application with all its routes."""
    app = FastAPI(
        title="hookfarm",
        version=hookfarm.__version__,
        description=openapi.DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    for build_router in OPEN:
        app.include_router(build_router(context))
    checks = [Depends(auth.token_check(context.settings.token)), Depends(requests.refuse_unknown)]
    for build_router in WITH_TOKEN:
        app.include_router(build_router(context), prefix="/v1", dependencies=checks, responses=openapi.refusals())
    responses.install(app)
    openapi.install(app)
    app.add_middleware(requests.BodyLimit)
    app.add_middleware(auth.HostCheck, names=context.settings.hosts)
    return app


HEARTBEAT_SECONDS = 0.5
HEARTBEAT_WITHIN_SECONDS = 5.0


class _Server(uvicorn.Server):
    """uvicorn server in a child: without signal handlers; the child is up once the server listens."""

    def __init__(self, config: uvicorn.Config, child: Child) -> None:
        super().__init__(config)
        self._child = child

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._child.mark_up()


async def serve(child: Child, listener: socket.socket, settings: Settings) -> None:
    """Serve until the child is to stop."""
    client = command_client(settings.redis_url, REDIS_TIMEOUT_SECONDS)
    context = Context(settings, client, async_client(settings.redis_url, REDIS_TIMEOUT_SECONDS))
    configured = uvicorn.Config(
        build(context),
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=2,
    )
    server = _Server(configured, child)
    asyncio.get_running_loop().add_reader(child.stop_fd, _stop, server, context)
    try:
        async with heartbeat(child, HEARTBEAT_SECONDS, HEARTBEAT_WITHIN_SECONDS):
            await server.serve(sockets=[listener])
    finally:
        asyncio.get_running_loop().remove_reader(child.stop_fd)
        await context.async_client.aclose()
        client.close()


def _stop(server: uvicorn.Server, context: Context) -> None:
    server.should_exit = True
    context.stopping.set()
