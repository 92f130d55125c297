"""A connection to one node, and the calls that an ingestor makes.

Calls for the safe and finalized block share batches with other calls, at most once per `tags_seconds`.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol
from urllib.parse import urlsplit

from hookfarm.chain.block import Head, Header, parse_head, parse_header, quantity
from hookfarm.chain.head_signal import FinalityTags, HeadSignal, OnHead
from hookfarm.chain.http_connection import HttpConnection
from hookfarm.chain.node_pool import NodeProfile
from hookfarm.chain.rpc import BudgetUsed, Call, NoResponse, RateLimited, Refused, Unanswered, failure_kind
from hookfarm.chain.timing import NodeTimeouts
from hookfarm.chain.websocket_connection import WebSocketConnection
from hookfarm.errors import ChainUnavailable
from hookfarm.event_stream import Checkpoint

Connection = WebSocketConnection | HttpConnection
SecondOpinion = Callable[[], Awaitable[int | None]]
"""Function that returns another node's block number; None if no other node answers."""

NULL_ROUND = "null round"
"""In Filecoin's error for a number without a block. The parent hash of the next block proves it."""
BROKEN_BATCH_DIVISOR = 4
"""Divides a batch that fails without an error of JSON-RPC: three time-outs at most lead to single calls."""

NO_FILTER: Mapping[str, Any] = MappingProxyType({})

NORMAL_DISTANCE = 2
"""Normal difference of two nodes, in blocks."""


class Hedge(Protocol):
    """Sends requests of a slow node to another one, too."""

    async def first(
        self, own: Coroutine[Any, Any, list[Any]], calls: Sequence[Call], is_right: Callable[[list[Any]], bool]
    ) -> list[Any]:
        """Return the results of `own`, or those of another node for `calls` if they come first and are right."""

    async def close(self) -> None: ...


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
        self.tags = FinalityTags(timeouts.tags_seconds, unanswered=profile.unanswered_tags)
        self.check_identity: Callable[[], Awaitable[bool]] = _no_identity
        """Raises WrongChain if the node serves another chain; False = the node lacks the block to compare."""
        self.hedge: Hedge | None = None
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

    @property
    def head_number(self) -> int:
        """Number of the newest known head, 0 before the first."""
        newest = self.newest_head
        return 0 if newest is None else newest.number

    async def identity(self, number: int) -> tuple[int, Checkpoint | None]:
        """Return the chain id, and number and hash of a block, in one request; None if the block is missing."""
        calls: list[Call] = [("eth_chainId", []), block_call(number)]
        chain_id, block = await self.request_all(calls)
        return quantity(result_or_raise(chain_id)), _point(number, block)

    async def points(self, blocks: Sequence[int | str]) -> list[Checkpoint | None]:
        """Return number and hash of several blocks, each by its number or tag; None for a missing one."""
        answers = await self.request_all([block_call(block) for block in blocks])
        return [_point(block, answer) for block, answer in zip(blocks, answers, strict=True)]

    async def block_number(self) -> int:
        return quantity(await self.request("eth_blockNumber"))

    async def head(self) -> Head:
        """Fetch the newest block, and signal it unless a newer head has been announced."""
        head = parse_head(await self.request("eth_getBlockByNumber", "latest", False))
        newest = self._head_signal.newest
        if newest is None or newest.number <= head.number:
            self._head_signal.set(head)
        return head

    async def header(self, number: int) -> Header:
        """Return the header of a canonical block. Raises ChainUnavailable if the node lacks the block."""
        headers = await self.headers([number])
        if not headers:
            raise ChainUnavailable(f"{self.origin}: block {number} is a null round")
        return headers[0]

    async def headers(self, numbers: Sequence[int]) -> list[Header]:
        """Return the headers of several canonical blocks, like `header`; without null rounds."""
        return [header for header, _ in await self.raw_blocks(numbers, whole=False)]

    async def raw_blocks(self, numbers: Sequence[int], *, whole: bool) -> list[tuple[Header, Any]]:
        """Return the headers of canonical blocks, each with its raw block; `whole` includes the transactions.

        The result omits null rounds.
        """
        calls = [block_call(number, whole=whole) for number in numbers]
        pairs = zip(numbers, await self.request_all(calls), strict=True)
        found = [(number, result_or_raise(answer)) for number, answer in pairs if not _is_null_round(answer)]
        return [(self.read_header(number, raw), raw) for number, raw in found]

    async def logs_between(self, first: int, last: int, log_filter: Mapping[str, Any] = NO_FILTER) -> list[Any]:
        """Return the logs of the canonical blocks in a range, all of which the node has.

        `log_filter`: `address` and `topics` as in `eth_getLogs`.
        A lagging node silently omits logs beyond its head. So the same batch reads its head, which must not be
        inside the range.
        """
        criteria = {"fromBlock": hex(first), "toBlock": hex(last), **log_filter}
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
        if self.hedge is not None:
            await self.hedge.close()
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

    async def request_hedged(
        self, calls: Sequence[Call], tags: Sequence[Call], is_right: Callable[[list[Any]], bool]
    ) -> list[Any]:
        """Return the results of `calls` and `tags`; if the node is slow, perhaps another node's, of `calls` only.

        `is_right` returns whether those are the right ones: the nodes may have different blocks at the head.
        """
        own = self.request_all([*calls, *tags])
        return await own if self.hedge is None else await self.hedge.first(own, calls, is_right)

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
            batches.rate_limited(sent)
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
        _take(self.profile, *methods)
        self._on_request()
        seconds = self.profile.bucket.reserve(len(methods))
        if seconds:
            await asyncio.sleep(seconds)

    def read_header(self, number: int, raw: Any) -> Header:
        """Parse the result of `eth_getBlockByNumber` for this number. Raises ChainUnavailable."""
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


def _is_null_round(answer: Any) -> bool:
    return isinstance(answer, Refused) and NULL_ROUND in str(answer)


async def _no_identity() -> bool:
    return False


def _take(profile: NodeProfile, *methods: str) -> None:
    if not profile.take(*methods):
        raise BudgetUsed(f"{profile.origin}: {profile.budget.problem}", profile.budget.rest_seconds())


def block_call(block: int | str, *, whole: bool = False) -> Call:
    """Return the call for a canonical block by number or tag; `whole` includes its transactions."""
    return "eth_getBlockByNumber", [hex(block) if isinstance(block, int) else block, whole]


def _point(block: int | str, answer: Any) -> Checkpoint | None:
    """Return a block's number and hash; None for an error, null, or another number than the requested one."""
    if answer is None or isinstance(answer, Refused):
        return None
    header = parse_header(result_or_raise(answer))
    wanted = isinstance(block, str) or header.number == block
    return Checkpoint(header.number, header.block_hash) if wanted else None


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
    profile: NodeProfile,
    timeouts: NodeTimeouts,
    on_head: OnHead,
    on_request: Callable[[], None],
    *,
    follow: bool = True,
) -> Node:
    """Connect to a node; ws and wss nodes announce heads, http and https nodes are polled.

    `on_head` is called with each new head if `follow`, `on_request` before each request.
    """

    def on_own_call(method: str) -> None:
        _take(profile, method)
        on_request()

    def on_failed(error: BaseException) -> None:
        if isinstance(error, ChainUnavailable) and not isinstance(error, BudgetUsed):
            profile.on_failure(failure_kind(error))

    head_signal = HeadSignal(on_head)
    connection: Connection
    if urlsplit(profile.url).scheme in ("ws", "wss"):
        connection = WebSocketConnection(profile.url, head_signal, timeouts, on_own_call, profile.on_bytes)
    else:
        connection = HttpConnection(profile.url, head_signal, timeouts, on_own_call, profile.on_bytes, on_failed)
    node = Node(profile, connection, head_signal, timeouts, on_request)
    try:
        await connection.open(follow=follow)
    except BaseException as error:
        on_failed(error)
        await node.close()
        raise
    return node
