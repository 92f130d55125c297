"""A client of the WebSocket: its requests, its subscriptions, its bounded queue.

1. A reader takes messages one by one and puts the responses into the outbox; it waits while the outbox is full.
2. Notifications enter the outbox at once. A client whose outbox overflows is disconnected, as by geth, so that no
   other task waits for it.
3. A writer sends the outbox in order.
"""

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import Any

import orjson
from aiohttp import WSCloseCode, WSMsgType, web

from hookfarm.devchain.methods import Subscriptions
from hookfarm.devchain.node import DevNode
from hookfarm.devchain.rpc import BatchRefusal, RpcMessage, answer, batch_refusal, parse_message
from hookfarm.devchain.rpc_errors import RpcError
from hookfarm.devchain.serializers import announced_header

MAX_CONCURRENT_CALLS = 64
CLOSE_SECONDS = 0.5
"""Time for a client to answer a close frame."""

MAX_MESSAGE_BYTES = 5 * 1024 * 1024


class WebSocketClient:
    """A client on one accepted handshake; `run` serves it until it disconnects or is dropped."""

    def __init__(self, node: DevNode, request: web.Request) -> None:
        self._node = node
        self._request = request
        self._socket = web.WebSocketResponse(timeout=CLOSE_SECONDS, max_msg_size=MAX_MESSAGE_BYTES, compress=False)
        self._outbox: asyncio.Queue[Any] = asyncio.Queue(node.options.outbox_messages)
        self._subscriptions = Subscriptions(self._notify, partial(announced_header, node.faults))
        self._calls: set[asyncio.Task[None]] = set()
        self._free_calls = asyncio.Semaphore(MAX_CONCURRENT_CALLS)

    async def run(self) -> web.WebSocketResponse:
        await self._socket.prepare(self._request)
        self._node.listeners.add(self._subscriptions.announce)
        self._node.connections.add(self.drop)
        writer = asyncio.create_task(self._write())
        try:
            await self._read()
        finally:
            self._node.listeners.discard(self._subscriptions.announce)
            self._node.connections.discard(self.drop)
            writer.cancel()
            for call in self._calls:
                call.cancel()
            await asyncio.gather(writer, *self._calls, return_exceptions=True)
        return self._socket

    def drop(self) -> None:
        """Reset the connection without a close frame, like a failing load balancer."""
        if self._request.transport is not None:
            self._request.transport.abort()

    async def close(self) -> None:
        """Close with the code of a server that shuts down (RFC 6455, 7.4.1).

        A client that does not answer is reset.
        """
        try:
            await asyncio.wait_for(self._socket.close(code=WSCloseCode.GOING_AWAY), 2 * CLOSE_SECONDS)
        except TimeoutError:
            self.drop()

    async def _read(self) -> None:
        async for message in self._socket:
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                continue
            self._node.transport_requests["websocket"] += 1
            try:
                parsed = parse_message(message.data)
            except RpcError as problem:
                await self._outbox.put(problem.response(None))
                continue
            if not parsed.is_control() and self._swallowed():
                continue
            refused = batch_refusal(self._node, parsed)
            if refused is not None:
                await self._refuse_batch(refused)
                continue
            await self._free_calls.acquire()
            self._start(self._answer(parsed))

    def _swallowed(self) -> bool:
        """Return whether a fault swallows the message: it is never answered, or the socket is dropped."""
        if self._node.faults.take("silence"):
            return True
        if self._node.faults.take("cut"):
            self.drop()
            return True
        return False

    async def _refuse_batch(self, refusal: BatchRefusal) -> None:
        if refusal.how == "error":
            await self._outbox.put(refusal.response)
        elif refusal.how != "silence":
            self.drop()

    def _start(self, call: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(call)
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def _answer(self, message: RpcMessage) -> None:
        try:
            response = await answer(self._node, message, self._subscriptions)
            if response is not None:
                await self._outbox.put(response)
        finally:
            self._free_calls.release()

    def _notify(self, notification: dict[str, Any]) -> None:
        try:
            self._outbox.put_nowait(notification)
        except asyncio.QueueFull:
            self.drop()

    async def _write(self) -> None:
        while True:
            content = await self._outbox.get()
            payload = orjson.dumps(content)
            if "method" not in content and self._node.faults.take("half_frame"):
                self._break_off(payload)
                return
            try:
                await self._socket.send_str(payload.decode())
            except ConnectionError:
                return

    def _break_off(self, payload: bytes) -> None:
        """Send half of a frame (RFC 6455, 5.2: text, final, eight bytes of length), then close the connection."""
        if self._request.transport is not None:
            head = b"\x81\x7f" + len(payload).to_bytes(8, "big")
            self._request.transport.write(head + payload[: len(payload) // 2])
            self._request.transport.close()
