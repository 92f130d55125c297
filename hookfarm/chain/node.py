"""One connected node: the handful of questions that an ingestor asks it."""

import asyncio
from collections.abc import Callable
from urllib.parse import urlsplit

from hookfarm.chain.block import Block, Head, Header, parse_header, parse_logs, quantity
from hookfarm.chain.doorbell import Doorbell, OnHead
from hookfarm.chain.http_connection import HttpConnection
from hookfarm.chain.timing import Limits
from hookfarm.chain.websocket_connection import WebSocketConnection
from hookfarm.errors import ChainUnavailable
from hookfarm.redaction import origin

Connection = WebSocketConnection | HttpConnection


class Node:
    """Every method but `close` raises ChainUnavailable; `closed` then says whether asking again is in vain."""

    def __init__(
        self, url: str, connection: Connection, doorbell: Doorbell, limits: Limits, on_request: Callable[[], None]
    ) -> None:
        self.origin = origin(url)
        self._connection = connection
        self._doorbell = doorbell
        self._limits = limits
        self._on_request = on_request
        self._blooms_mean_something = False

    @property
    def closed(self) -> bool:
        return self._doorbell.failed

    async def chain_id(self) -> int:
        return quantity(await self._ask("eth_chainId"))

    async def block_number(self) -> int:
        return quantity(await self._ask("eth_blockNumber"))

    async def head(self) -> Head:
        """The newest block now; rings for it, unless a newer one has been announced meanwhile."""
        header = parse_header(await self._ask("eth_getBlockByNumber", "latest", False))
        head, newest = Head(header.number, header), self._doorbell.newest
        if newest is None or newest.number <= head.number:
            self._doorbell.ring(head)
        return head

    async def header(self, number: int) -> Header:
        """The canonical block's; a node that doesn't have it (yet) is unavailable, not empty."""
        found = await self._ask("eth_getBlockByNumber", hex(number), False)
        if found is None:
            raise ChainUnavailable(f"{self.origin}: does not have block {number}")
        header = parse_header(found)
        if header.number != number:
            raise ChainUnavailable(f"{self.origin}: sent block {header.number} for {number}")
        newest = self._doorbell.newest
        if newest is not None and newest.number == number:
            self._doorbell.pace.saw(number, header.timestamp)
        return header

    async def block(self, chain_id: int, header: Header) -> Block:
        """The block with all its events, asked for by hash.

        A bloom of zeros is proof of no logs only on a chain that has blooms; some write zeros into every
        header, so this node must have shown another one before.
        """
        self._blooms_mean_something |= header.logs_bloom is not None and not header.bloom_is_zero
        if header.bloom_is_zero and self._blooms_mean_something:
            return Block(header, ())
        logs = await self._ask("eth_getLogs", {"blockHash": header.block_hash})
        return Block(header, parse_logs(chain_id, header, logs))

    async def next_head(self) -> Head:
        """Waits for the next head that is announced, and checks on a node that announces none."""
        while True:
            head = await self._doorbell.wait(self._limits.suspicious_silence(self._doorbell.pace.block_seconds))
            if head is not None:
                return head
            await self._check_silence()

    @property
    def newest_head(self) -> Head | None:
        return self._doorbell.newest

    async def close(self) -> None:
        await self._connection.close()

    async def _check_silence(self) -> None:
        try:
            async with asyncio.timeout(self._limits.probe_seconds):
                number = await self.block_number()
        except TimeoutError as error:
            raise ChainUnavailable(f"{self.origin}: silent, and does not answer") from error
        newest = self._doorbell.newest
        if newest is None or number > newest.number:
            raise ChainUnavailable(f"{self.origin}: went on to block {number} without announcing it")

    async def _ask(self, method: str, *parameters: object) -> object:
        self._on_request()
        return await self._connection.request(method, list(parameters))


async def connect(url: str, limits: Limits, on_head: OnHead, on_request: Callable[[], None]) -> Node:
    """Opens a node; ws and wss announce their heads, http and https are polled.

    `on_head` is called with each head as soon as it is known, `on_request` before each request.
    """
    doorbell = Doorbell(on_head)
    over_socket = urlsplit(url).scheme in ("ws", "wss")
    transport = WebSocketConnection if over_socket else HttpConnection
    connection = transport(url, doorbell, limits)
    node = Node(url, connection, doorbell, limits, on_request)
    try:
        await connection.open()
    except BaseException:
        await node.close()
        raise
    return node
