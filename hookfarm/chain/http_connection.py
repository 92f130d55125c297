"""HTTP connection to a node: web3's provider over persistent sockets, and a poll for the head.

web3's own session opens a connection per request and takes a lock in another thread for each. A cancelled request
may leave that lock held, so `make_request` uses its own session.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import aiohttp
import orjson
from web3.exceptions import Web3Exception
from web3.providers.rpc.async_rpc import AsyncHTTPProvider
from web3.types import RPCEndpoint, RPCResponse

from hookfarm.chain.block import parse_head
from hookfarm.chain.head_signal import HeadSignal
from hookfarm.chain.rpc import Call, http_answer, result_of, results_of, unavailable
from hookfarm.chain.timing import NodeTimeouts, Pace, poll_seconds
from hookfarm.errors import ChainUnavailable

MAX_CONNECTIONS = 16

_FOREIGN = (OSError, TimeoutError, aiohttp.ClientError, Web3Exception, ValueError)


class HttpConnection(AsyncHTTPProvider):
    """Connection to a node that does not announce heads; interface of WebSocketConnection.

    `on_own_call` is called with the method of each poll before it, `on_bytes` with the bytes of JSON sent and
    received, and `on_failed_poll` with the error that ends the polling.
    """

    def __init__(
        self,
        url: str,
        head_signal: HeadSignal,
        timeouts: NodeTimeouts,
        on_own_call: Callable[[str], None],
        on_bytes: Callable[[int, int], None],
        on_failed_poll: Callable[[ChainUnavailable], None],
    ) -> None:
        super().__init__(url, exception_retry_configuration=None)
        self._on_own_call = on_own_call
        self._on_bytes = on_bytes
        self._on_failed_poll = on_failed_poll
        self._url = url
        self._head_signal = head_signal
        self._timeouts = timeouts
        self._session: aiohttp.ClientSession | None = None
        self._polling: asyncio.Task[None] | None = None

    async def open(self, *, follow: bool = True) -> None:
        """Open the connection, and poll for heads if `follow`."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS),
            timeout=aiohttp.ClientTimeout(
                total=self._timeouts.request_seconds, connect=self._timeouts.connect_seconds
            ),
            headers={"Content-Type": "application/json", "User-Agent": "hookfarm"},
        )
        if follow:
            self._polling = asyncio.create_task(self._poll())

    async def request(self, method: str, parameters: list[Any]) -> Any:
        """Return the result of one call, as decoded JSON."""
        answer = await self._exchange(self.form_request(RPCEndpoint(method), parameters))
        return result_of(self._url, method, answer)

    async def request_batch(self, calls: Sequence[Call]) -> list[Any]:
        """Send all calls in one request; return their results in order, a ChainUnavailable as a value."""
        requests = [self.form_request(RPCEndpoint(method), parameters) for method, parameters in calls]
        return results_of(self._url, requests, await self._exchange(requests))

    async def close(self) -> None:
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.gather(self._polling, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        answer: RPCResponse = await self._exchange(self.form_request(method, params))
        return answer

    async def _exchange(self, content: Any) -> Any:
        assert self._session is not None
        body = orjson.dumps(content)
        self._on_bytes(len(body), 0)
        try:
            async with self._session.post(self._url, data=body, allow_redirects=False) as answer:
                found = await answer.read()
                self._on_bytes(0, len(found))
        except _FOREIGN as error:
            raise unavailable(self._url, error) from error
        return http_answer(self._url, answer.status, answer.headers.get("Retry-After"), found)

    async def _poll(self) -> None:
        """Set the signal whenever the node's newest block has another hash."""
        last, polls = "", 0
        seen, clock = Pace(), asyncio.get_running_loop().time
        try:
            while True:
                self._on_own_call("eth_getBlockByNumber")
                head = parse_head(await self.request("eth_getBlockByNumber", ["latest", False]))
                polls += 1
                if head.block_hash != last:
                    last, polls = head.block_hash, 1
                    seen.observe(head.number, clock())
                    self._head_signal.set(head)
                await asyncio.sleep(poll_seconds(seen.block_seconds, polls))
        except ChainUnavailable as error:
            self._on_failed_poll(error)
            self._head_signal.fail(error)
