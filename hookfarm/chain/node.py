"""A connection to one node, and the calls that an ingestor makes.

Calls for the safe and finalized block share batches with other calls, at most once per `tags_seconds`.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from hookfarm.chain.block import Head, Header, parse_header, quantity
from hookfarm.chain.head_signal import HeadSignal, OnHead
from hookfarm.chain.http_connection import HttpConnection
from hookfarm.chain.node_pool import NodeProfile
from hookfarm.chain.rpc import Call, NoResponse, RateLimited, Refused, Unanswered, failure_kind
from hookfarm.chain.timing import NodeTimeouts
from hookfarm.chain.websocket_connection import WebSocketConnection
from hookfarm.errors import ChainUnavailable

TAGS = ("safe", "finalized")
REFUSALS_BELIEVED = 3
"""Consecutive errors until a tag counts as unsupported. One error may be temporary, and a fixed number of
confirmations must not replace finality on a chain that has it."""
NOT_YET = "not found"
"""In geth's error for a supported tag without a block yet (-39001)."""


class FinalityTags:
    """Schedule of the calls for a node's safe and finalized block, and their results.

    `due` returns the calls to make, `record` takes their results, `drain` returns the new heads.
    """

    def __init__(self, every_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._every_seconds = every_seconds
        self._clock = clock
        self._next_at = float("-inf")
        self._asked: list[str] = []
        self._refusals: Counter[str] = Counter()
        self._news: dict[str, Header | None] = {}

    def due(self) -> list[Call]:
        """Return the calls to make; an empty list until they are due. Skips unsupported tags."""
        now = self._clock()
        if now < self._next_at:
            return []
        self._next_at = now + self._every_seconds
        self._asked = [tag for tag in TAGS if self._refusals[tag] < REFUSALS_BELIEVED]
        return [("eth_getBlockByNumber", [tag, False]) for tag in self._asked]

    def record(self, answers: Sequence[Any]) -> None:
        """Record the results of the calls that `due` returned; errors are Refused values."""
        for tag, answer in zip(self._asked, answers, strict=False):
            if isinstance(answer, Refused) and NOT_YET not in str(answer):
                self._refused(tag)
                continue
            self._refusals[tag] = 0
            if answer is not None and not isinstance(answer, Refused):
                self._news[tag] = parse_header(answer)

    def _refused(self, tag: str) -> None:
        self._refusals[tag] += 1
        if self._refusals[tag] < REFUSALS_BELIEVED:
            self._next_at = float("-inf")
        else:
            self._news[tag] = None

    def drain(self) -> dict[str, Header | None]:
        """Return the heads recorded since the last call by tag; None = the tag is unsupported."""
        news, self._news = self._news, {}
        return news


Connection = WebSocketConnection | HttpConnection
SecondOpinion = Callable[[], Awaitable[int | None]]
"""Function that returns another node's block number; None if no other node answers."""

BROKEN_BATCH_DIVISOR = 4
"""Divides a batch that fails without an error of JSON-RPC: three time-outs at most lead to single calls."""

NORMAL_DISTANCE = 2
"""Normal difference of two nodes, in blocks."""


class Node:
    """A connected node. Every method but `close` raises ChainUnavailable.

    A retry is useless once the node is `closed`. `on_request` is called before each request; a batch is one.
    """

    def __init__(
        self,
        profile: NodeProfile,
        connection: Connection,
        head_signal: HeadSignal,
        timeouts: NodeTimeouts,
        on_request: Callable[[], None],
    ) -> None:
        self.profile = profile
        self.origin = profile.origin
        self.tags = FinalityTags(timeouts.tags_seconds)
        self._connection = connection
        self._head_signal = head_signal
        self._timeouts = timeouts
        self._on_request = on_request

    @property
    def closed(self) -> bool:
        return self._head_signal.failed

    @property
    def newest_head(self) -> Head | None:
        return self._head_signal.newest

    async def chain_id(self) -> int:
        return quantity(await self.request("eth_chainId"))

    async def block_number(self) -> int:
        return quantity(await self.request("eth_blockNumber"))

    async def head(self) -> Head:
        """Fetch the newest block, and signal it unless a newer head has been announced."""
        header = parse_header(await self.request("eth_getBlockByNumber", "latest", False))
        head, newest = Head(header.number, header), self._head_signal.newest
        if newest is None or newest.number <= head.number:
            self._head_signal.set(head)
        return head

    async def header(self, number: int) -> Header:
        """Return the header of a canonical block. Raises ChainUnavailable if the node lacks the block."""
        [header] = await self.headers([number])
        return header

    async def headers(self, numbers: Sequence[int]) -> list[Header]:
        """Return the headers of several canonical blocks; like `header`."""
        return [header for header, _ in await self._blocks(numbers, whole=False)]

    async def whole_blocks(self, numbers: Sequence[int]) -> list[tuple[Header, Any]]:
        """Return the headers of canonical blocks, each with its raw block including transactions."""
        return await self._blocks(numbers, whole=True)

    async def logs_between(self, first: int, last: int) -> list[Any]:
        """Return the logs of the canonical blocks in a range, all of which the node has.

        A lagging node silently omits logs beyond its head. So the same batch reads its head, which must not be
        inside the range.
        """
        criteria = {"fromBlock": hex(first), "toBlock": hex(last)}
        logs, head = await self.request_all([("eth_getLogs", [criteria]), ("eth_blockNumber", [])])
        if quantity(result_or_raise(head)) < last:
            raise ChainUnavailable(f"{self.origin}: does not have block {last}")
        return require_list(result_or_raise(logs), f"{self.origin}: eth_getLogs")

    async def next_head(self, second_opinion: SecondOpinion | None = None) -> Head:
        """Wait for the next announced head; check the node when none comes in time."""
        while True:
            head = await self._head_signal.wait(self._timeouts.max_silence(self._head_signal.pace.block_seconds))
            if head is not None:
                return head
            await self._check_silence(second_opinion)

    async def close(self) -> None:
        await self._connection.close()

    async def request(self, method: str, *parameters: object) -> Any:
        """Send one call; return its result as decoded JSON."""
        await self._take_turn([method])
        with self._counting_failures():
            return await self._connection.request(method, list(parameters))

    async def request_all(self, calls: Sequence[Call]) -> list[Any]:
        """Send calls in as few batches as the node accepts; return results, Refused as a value.

        What a batch leaves unanswered is sent again in smaller batches, down to single calls. Without a response,
        or with a closed connection, this raises, and the next call sends smaller batches.
        """
        answers: list[Any] = [None] * len(calls)
        left = list(range(len(calls)))
        while left:
            sent, left = left[: self.profile.batches.calls], left[self.profile.batches.calls :]
            results = await self._request_batch([calls[place] for place in sent])
            for place, answer in zip(sent, results, strict=True):
                answers[place] = answer
            left = [place for place in sent if isinstance(answers[place], Unanswered)] + left
        for answer in answers:
            if isinstance(answer, ChainUnavailable):
                self.profile.on_failure(failure_kind(answer))
        for answer in answers:
            if isinstance(answer, RateLimited):
                raise answer
        return answers

    async def _blocks(self, numbers: Sequence[int], whole: bool) -> list[tuple[Header, Any]]:
        calls: list[Call] = [("eth_getBlockByNumber", [hex(number), whole]) for number in numbers]
        found = [result_or_raise(answer) for answer in await self.request_all(calls)]
        return [(self._read_header(number, raw), raw) for number, raw in zip(numbers, found, strict=True)]

    async def _request_batch(self, calls: Sequence[Call]) -> list[Any]:
        """Send calls in one request, and learn from the response how many calls the node accepts."""
        await self._take_turn([method for method, _ in calls])
        if len(calls) > 1:
            return await self._batch(calls)
        [(method, parameters)] = calls
        answers: list[Any]
        try:
            answers = [await self._connection.request(method, parameters)]
        except Refused as error:
            answers = [error]
        except ChainUnavailable as error:
            self.profile.on_failure(failure_kind(error))
            raise
        self.profile.batches.accepted(1)
        return answers

    async def _batch(self, calls: Sequence[Call]) -> list[Any]:
        """Return the results of a batch; the calls of a refused one are all Unanswered."""
        batches, sent = self.profile.batches, len(calls)
        try:
            with self._counting_failures():
                answers = await self._connection.request_batch(calls)
        except RateLimited:
            raise
        except Refused as error:
            batches.reduce(sent // 2)
            return [Unanswered(str(error))] * sent
        except ChainUnavailable as error:
            batches.reduce(sent // BROKEN_BATCH_DIVISOR)
            if self.closed or isinstance(error, NoResponse):
                raise
            return [Unanswered(str(error))] * sent
        answered = sum(not isinstance(answer, Unanswered) for answer in answers)
        if answered < sent:
            batches.reduce(answered or sent // BROKEN_BATCH_DIVISOR)
        else:
            batches.accepted(sent)
        return answers

    @contextlib.contextmanager
    def _counting_failures(self) -> Iterator[None]:
        try:
            yield
        except ChainUnavailable as error:
            self.profile.on_failure(failure_kind(error))
            raise

    async def _take_turn(self, methods: Sequence[str]) -> None:
        self._on_request()
        for method in methods:
            self.profile.on_call(method)
        seconds = self.profile.bucket.reserve(len(methods))
        if seconds:
            await asyncio.sleep(seconds)

    def _read_header(self, number: int, raw: Any) -> Header:
        if raw is None:
            raise ChainUnavailable(f"{self.origin}: does not have block {number}")
        header = parse_header(raw)
        if header.number != number:
            raise ChainUnavailable(f"{self.origin}: sent block {header.number} instead of {number}")
        newest = self._head_signal.newest
        if newest is not None and newest.number == number:
            self._head_signal.pace.observe(number, header.timestamp)
        return header

    async def _check_silence(self, second_opinion: SecondOpinion | None) -> None:
        try:
            async with asyncio.timeout(self._timeouts.probe_seconds):
                number = await self.block_number()
        except TimeoutError as error:
            raise ChainUnavailable(f"{self.origin}: silent, and does not answer") from error
        newest = self._head_signal.newest
        if newest is None or number > newest.number:
            raise ChainUnavailable(f"{self.origin}: reached block {number} without announcing it")
        elsewhere = None if second_opinion is None else await second_opinion()
        if elsewhere is not None and elsewhere > number + NORMAL_DISTANCE:
            raise ChainUnavailable(f"{self.origin}: is at block {number}, another node at {elsewhere}")


def result_or_raise(answer: Any) -> Any:
    """Return the result of one call of `request_all`; raise it if it is a ChainUnavailable."""
    if isinstance(answer, ChainUnavailable):
        raise answer
    return answer


def require_list(answer: Any, where: str) -> list[Any]:
    """Return the list. Raises ChainUnavailable for any other value, null included."""
    if not isinstance(answer, list):
        raise ChainUnavailable(f"{where}: {answer!r:.40} instead of a list")
    return answer


async def connect(
    profile: NodeProfile, timeouts: NodeTimeouts, on_head: OnHead, on_request: Callable[[], None]
) -> Node:
    """Connect to a node; ws and wss nodes announce heads, http and https nodes are polled.

    `on_head` is called with each new head, `on_request` before each request.
    """

    def on_poll() -> None:
        on_request()
        profile.on_call("eth_getBlockByNumber")

    def on_failed_poll(error: ChainUnavailable) -> None:
        profile.on_failure(failure_kind(error))

    head_signal = HeadSignal(on_head)
    connection: Connection
    if urlsplit(profile.url).scheme in ("ws", "wss"):
        connection = WebSocketConnection(profile.url, head_signal, timeouts)
    else:
        connection = HttpConnection(profile.url, head_signal, timeouts, on_poll, on_failed_poll)
    node = Node(profile, connection, head_signal, timeouts, on_request)
    try:
        await connection.open()
    except BaseException as error:
        if isinstance(error, ChainUnavailable):
            profile.on_failure(failure_kind(error))
        await node.close()
        raise
    return node
