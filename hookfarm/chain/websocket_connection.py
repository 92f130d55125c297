"""WebSocket connection to a node: web3's provider, with every response passed to the call that waits for it.

web3 makes two assumptions that raw requests break. While one waits for its response, web3 spins the event loop
(100 % of a CPU). An error response ends the listener for all requests. So this class overrides `make_request` and
`socket_recv`, which web3's listener task runs. `socket_recv` dispatches all messages and returns only when the
socket is closed.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import orjson
from web3.exceptions import Web3Exception
from web3.providers.persistent.websocket import WebSocketProvider
from web3.types import RPCEndpoint, RPCResponse
from websockets.exceptions import WebSocketException

from hookfarm.chain.block import parse_head
from hookfarm.chain.head_signal import HeadSignal
from hookfarm.chain.rpc import Call, result_of, results_of, unavailable
from hookfarm.chain.timing import NodeTimeouts
from hookfarm.errors import ChainUnavailable

MAX_MESSAGE_BYTES = 256 * 2**20
"""One message may hold all logs of a block; websockets' default limit is 1 MiB."""
CLOSE_SECONDS = 0.5

_FOREIGN = (OSError, TimeoutError, WebSocketException, Web3Exception, ValueError)
_ENDS_THE_SOCKET = (*_FOREIGN, ChainUnavailable, asyncio.CancelledError)


class WebSocketConnection(WebSocketProvider):
    """A socket to a node: requests with their responses, and a signal for announced heads.

    `on_own_call` is called with the method of a call that the connection makes itself, `on_bytes` with the bytes
    of JSON sent and received.
    """

    def __init__(
        self,
        url: str,
        head_signal: HeadSignal,
        timeouts: NodeTimeouts,
        on_own_call: Callable[[str], None],
        on_bytes: Callable[[int, int], None],
    ) -> None:
        options = {
            "open_timeout": timeouts.connect_seconds,
            "close_timeout": CLOSE_SECONDS,
            "ping_interval": 20,
            "ping_timeout": 20,
            "max_size": MAX_MESSAGE_BYTES,
            "proxy": None,
        }
        super().__init__(
            url,
            websocket_kwargs=options,
            max_connection_retries=1,
            request_timeout=timeouts.request_seconds,
        )
        self.announced: Any = None
        """The newest head as the node announced it."""
        self._url = url
        self._head_signal = head_signal
        self._on_own_call = on_own_call
        self._on_bytes = on_bytes
        self._waiting: dict[object, asyncio.Future[Any]] = {}

    async def open(self, *, follow: bool = True) -> None:
        """Open the connection, and subscribe to heads if `follow`."""
        try:
            await self.connect()
        except _FOREIGN as error:
            raise unavailable(self._url, error) from error
        if follow:
            self._on_own_call("eth_subscribe")
            await self.request("eth_subscribe", ["newHeads"])

    async def request(self, method: str, parameters: list[Any]) -> Any:
        """Return the result of one call, as decoded JSON."""
        request = self.form_request(RPCEndpoint(method), parameters)
        return result_of(self._url, method, await self._exchange(request, [request["id"]]))

    async def request_batch(self, calls: Sequence[Call]) -> list[Any]:
        """Send all calls in one message; return their results in order, a ChainUnavailable as a value."""
        requests = [self.form_request(RPCEndpoint(method), parameters) for method, parameters in calls]
        answers = await self._exchange(requests, [request["id"] for request in requests])
        return results_of(self._url, requests, answers)

    async def close(self) -> None:
        """Close the connection. Never raises; errors of the closing socket are ignored.

        web3's `disconnect` would swallow a cancellation during the close.
        """
        if self._message_listener_task is not None:
            self._message_listener_task.cancel()
            await asyncio.gather(self._message_listener_task, return_exceptions=True)
        if self._ws is not None:
            await self._ws.close()

    async def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        request = self.form_request(method, params)
        answer: RPCResponse = await self._exchange(request, [request["id"]])
        return answer

    async def _exchange(self, content: Any, ids: Sequence[object]) -> Any:
        """Send a message and return the response with any of the ids."""
        if self._head_signal.failed:
            raise unavailable(self._url, ConnectionResetError("the connection is closed"))
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.update(dict.fromkeys(ids, answer))
        try:
            async with asyncio.timeout(self.request_timeout):
                await self.socket_send(orjson.dumps(content))
                return await answer
        except _FOREIGN as error:
            raise unavailable(self._url, error) from error
        finally:
            for waiting in ids:
                del self._waiting[waiting]

    async def socket_send(self, request_data: bytes) -> None:
        """Send a message without web3's `wait_for`, which may swallow a cancellation before Python 3.12."""
        assert self._ws is not None
        self._on_bytes(len(request_data), 0)
        await self._ws.send(request_data, text=True)

    async def socket_recv(self) -> RPCResponse:
        assert self._ws is not None
        try:
            while True:
                message = await self._ws.recv(decode=False)
                self._on_bytes(0, len(message))
                self._deal(orjson.loads(message))
        except _ENDS_THE_SOCKET as error:
            self._fail(error)
            raise

    def _deal(self, message: Any) -> None:
        if isinstance(message, list):
            self._answer(
                next((self._waiting_for(each) for each in message if self._waiting_for(each)), None), message
            )
        elif not isinstance(message, dict):
            return
        elif message.get("method") == "eth_subscription":
            self.announced = message.get("params", {}).get("result")
            self._head_signal.set(parse_head(self.announced))
        elif message.get("id") is None and "error" in message:
            self._refuse_batches(message)
        else:
            self._answer(self._waiting_for(message), message)

    def _waiting_for(self, answer: Any) -> asyncio.Future[Any] | None:
        return self._waiting.get(answer.get("id")) if isinstance(answer, dict) else None

    def _answer(self, waiting: asyncio.Future[Any] | None, message: Any) -> None:
        if waiting is not None and not waiting.done():
            waiting.set_result(message)

    def _refuse_batches(self, message: Any) -> None:
        """Pass the error, which has no id, to all pending batches; their callers retry smaller ones."""
        waiting = list(self._waiting.values())
        for answer in {each for each in waiting if waiting.count(each) > 1} or set(waiting[:1]):
            self._answer(answer, message)

    def _fail(self, error: BaseException) -> None:
        """Fail all pending requests because the socket is closed."""
        self._head_signal.fail(unavailable(self._url, error))
        for answer in set(self._waiting.values()):
            if not answer.done():
                answer.set_exception(ConnectionResetError(str(error) or "the connection was closed"))
