"""web3's HTTP provider over connections that stay open, and a poll for the head in place of announcements.

web3's own session opens a connection per request and takes a lock in another thread for each, which a
cancelled request may leave locked; hence `make_request` has a session of its own.
"""

import asyncio
from typing import Any

import aiohttp
import orjson
from web3.exceptions import Web3Exception
from web3.providers.rpc.async_rpc import AsyncHTTPProvider
from web3.types import RPCEndpoint, RPCResponse

from hookfarm.chain.answers import result_of, unavailable
from hookfarm.chain.block import Head, quantity
from hookfarm.chain.doorbell import Doorbell
from hookfarm.chain.timing import Limits, poll_seconds
from hookfarm.errors import ChainUnavailable

MAX_CONNECTIONS = 16

_FOREIGN = (OSError, TimeoutError, aiohttp.ClientError, Web3Exception, ValueError)


class HttpConnection(AsyncHTTPProvider):
    """As WebSocketConnection, for a node that answers but never announces."""

    def __init__(self, url: str, doorbell: Doorbell, limits: Limits) -> None:
        super().__init__(url, exception_retry_configuration=None)
        self._url = url
        self._doorbell = doorbell
        self._limits = limits
        self._session: aiohttp.ClientSession | None = None
        self._polling: asyncio.Task[None] | None = None

    async def open(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS),
            timeout=aiohttp.ClientTimeout(
                total=self._limits.request_seconds, connect=self._limits.connect_seconds
            ),
            headers={"Content-Type": "application/json", "User-Agent": "hookfarm"},
            raise_for_status=True,
        )
        self._polling = asyncio.create_task(self._poll())

    async def request(self, method: str, parameters: list[Any]) -> Any:
        """The result as JSON has it."""
        try:
            answer = await self.make_request(RPCEndpoint(method), parameters)
        except _FOREIGN as error:
            raise unavailable(self._url, error) from error
        return result_of(self._url, method, answer)

    async def close(self) -> None:
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.gather(self._polling, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        assert self._session is not None
        body = orjson.dumps(self.form_request(method, params))
        async with self._session.post(self._url, data=body, allow_redirects=False) as answer:
            decoded: RPCResponse = orjson.loads(await answer.read())
            return decoded

    async def _poll(self) -> None:
        """Rings whenever the node's block number is another one."""
        last: int | None = None
        try:
            while True:
                number = quantity(await self.request("eth_blockNumber", []))
                if number != last:
                    self._doorbell.ring(Head(number))
                last = number
                await asyncio.sleep(poll_seconds(self._doorbell.pace.block_seconds))
        except ChainUnavailable as error:
            self._doorbell.fail(error)
