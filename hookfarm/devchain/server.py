"""One port for JSON-RPC over HTTP POST and over WebSocket, on any path."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import cycle
from typing import Any

import orjson
from aiohttp import web

from hookfarm.devchain.chain import DevchainOptions
from hookfarm.devchain.node import DevNode, mine_until
from hookfarm.devchain.rpc import BatchRefusal, answer, batch_refusal, parse_message
from hookfarm.devchain.rpc_errors import TOO_LARGE, RpcError
from hookfarm.devchain.websocket import MAX_MESSAGE_BYTES, WebSocketClient
from hookfarm.errors import CouldNotBoot

SHUTDOWN_SECONDS = 1.0
"""Time for open requests until they are cancelled."""


async def serve(
    options: DevchainOptions,
    *,
    on_ready: Callable[[str], None] | None = None,
    stop: asyncio.Event,
) -> None:
    """Run a devchain until `stop`: listen, call `on_ready` with its http URL, mine by the clock.

    Raises CouldNotBoot if the address cannot be bound.
    """
    node = DevNode(options)
    async with listening(node) as server:
        if on_ready is not None:
            on_ready(server.http_url)
        await mine_until(node, stop)


@asynccontextmanager
async def listening(node: DevNode) -> AsyncIterator["DevchainServer"]:
    """Run the node on its port; the end of the context closes the port and all connections."""
    server = DevchainServer(node)
    await server.start()
    try:
        yield server
    finally:
        await server.close()


class DevchainServer:
    """HTTP and WebSocket server of one node; may be closed and restarted on the same port."""

    def __init__(self, node: DevNode) -> None:
        self._node = node
        self._behind_url = cycle([node])
        self._clients: set[WebSocketClient] = set()
        self._closing = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self.port = node.options.port

    async def start(self) -> None:
        self._closing.clear()
        runner = web.AppRunner(
            self._application(),
            access_log=None,
            handler_cancellation=True,
            shutdown_timeout=SHUTDOWN_SECONDS,
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, self._node.options.host, self.port).start()
        except OSError as problem:
            await runner.cleanup()
            raise CouldNotBoot(f"devchain: cannot listen on {self._authority()}: {problem}") from problem
        self._runner = runner
        self.port = runner.addresses[0][1]

    def serve(self, *nodes: DevNode) -> None:
        """Let these nodes answer HTTP requests in turn, also on open connections, as behind a load balancer."""
        self._behind_url = cycle(nodes)

    @property
    def http_url(self) -> str:
        return f"http://{self._authority()}"

    @property
    def ws_url(self) -> str:
        return f"ws://{self._authority()}"

    async def close(self) -> None:
        """Close the port and every connection. Idempotent."""
        self._closing.set()
        await asyncio.gather(*(client.close() for client in list(self._clients)))
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def _authority(self) -> str:
        host = self._node.options.host
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    def _application(self) -> web.Application:
        application = web.Application(client_max_size=MAX_MESSAGE_BYTES)
        application.router.add_post("/{path:.*}", self._post)
        application.router.add_get("/{path:.*}", self._get, allow_head=False)
        return application

    async def _post(self, request: web.Request) -> web.StreamResponse:
        node = next(self._behind_url)
        node.transport_requests["http"] += 1
        try:
            message = parse_message(await request.read())
        except RpcError as problem:
            return _json(problem.response(None))
        if not message.is_control():
            refusal = await self._refusal(request)
            if refusal is not None:
                return refusal
        refused = batch_refusal(node, message)
        if refused is not None:
            return await self._refuse_batch(request, refused)
        response = await answer(node, message, None)
        if response is None:
            return web.Response(status=204)
        if _too_large(response):
            return web.Response(status=TOO_LARGE, text="<html>413 Request Entity Too Large</html>\n")
        if not message.is_control() and self._node.faults.take("half_frame"):
            return await _broken_off(request, orjson.dumps(response))
        return _json(response)

    async def _get(self, request: web.Request) -> web.StreamResponse:
        if not web.WebSocketResponse().can_prepare(request):
            return web.Response(status=405, text="POST JSON-RPC here, or open a WebSocket\n")
        refusal = await self._refusal(request, silence=False)
        if refusal is not None:
            return refusal
        client = WebSocketClient(self._node, request)
        self._clients.add(client)
        try:
            return await client.run()
        finally:
            self._clients.discard(client)

    async def _refusal(self, request: web.Request, *, silence: bool = True) -> web.StreamResponse | None:
        """Return the response of an active transport fault; None without one."""
        faults = self._node.faults
        if silence and faults.take("silence"):
            await self._closing.wait()
            return _cut(request)
        if faults.take("cut"):
            return _cut(request)
        fault = faults.take("http_status")
        if fault is None:
            return None
        seconds = fault.number("retry_after")
        headers = {} if seconds == 0 else {"Retry-After": str(seconds)}
        return web.Response(status=fault.number("status"), headers=headers)

    async def _refuse_batch(self, request: web.Request, refusal: BatchRefusal) -> web.StreamResponse:
        match refusal.how:
            case "http_413" | "http_429" | "http_500":
                return web.Response(status=int(refusal.how.removeprefix("http_")), text="<html>refused</html>\n")
            case "empty":
                return web.Response(content_type="application/json")
            case "closed":
                return _cut(request)
            case "silence":
                await self._closing.wait()
                return _cut(request)
        return _json(refusal.response)


def _cut(request: web.Request) -> web.StreamResponse:
    """Reset the connection. Return a response that is never sent, because a handler must return one."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=503)


async def _broken_off(request: web.Request, body: bytes) -> web.StreamResponse:
    """Send half of the announced body and close the connection."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.content_length = len(body)
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


def _too_large(response: Any) -> bool:
    """Return whether a gateway would refuse the whole request."""
    answers = response if isinstance(response, list) else [response]
    return any(answer.get("error", {}).get("code") == TOO_LARGE for answer in answers)


def _json(content: object) -> web.Response:
    return web.Response(body=orjson.dumps(content), content_type="application/json")
