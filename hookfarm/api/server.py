"""uvicorn inside a farm's child: it stops when the child is told to, and its loop is the heartbeat."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn

from hookfarm.api.app import build
from hookfarm.api.context import REDIS_TIMEOUT_SECONDS, Context
from hookfarm.api.settings import Settings
from hookfarm.farm.child import Child
from hookfarm.store.clients import async_client, command_client

BEAT_SECONDS = 0.5
PROMISE_SECONDS = 5.0


class _Server(uvicorn.Server):
    """Signals are the child's; uvicorn must not take them."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(child: Child, listener: socket.socket, settings: Settings) -> None:
    """Serves until the child is told to stop."""
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
    server = _Server(configured)
    asyncio.get_running_loop().add_reader(child.stop_fd, _stop, server, context)
    beating = asyncio.create_task(_beat(child, server))
    try:
        await server.serve(sockets=[listener])
    finally:
        asyncio.get_running_loop().remove_reader(child.stop_fd)
        beating.cancel()
        await context.async_client.aclose()
        client.close()


def _stop(server: uvicorn.Server, context: Context) -> None:
    server.should_exit = True
    context.stopping.set()


async def _beat(child: Child, server: uvicorn.Server) -> None:
    while True:
        child.slot.promise(PROMISE_SECONDS)
        if server.started:
            child.mark_up()
        await asyncio.sleep(BEAT_SECONDS if server.started else 0.01)
