"""Blocks with all their events, proven complete.

1. Fetch a block's logs: by its hash near the head, in a range far behind it.
2. Check contiguous indices, and the header's bloom if the chain has blooms.
3. In doubt, or if the node refuses, take the logs from another source and check them the same way: from the
   receipts of all its transactions, or from `eth_getLogs` where receipts are the first source.
4. Still in doubt, accept logs on which both sources agree log by log, if they set all bits of the bloom: some
   chains omit the logs of system transactions from it. A bloom that is in every header is no bloom.
5. Otherwise raise Incomplete: the caller pauses or switches nodes, and never skips the block.

With transfers, whole blocks and receipts replace headers and logs.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from hookfarm.chain.block import Block, Head, Header, logs_by_block, parse_logs
from hookfarm.chain.completeness import Completeness, is_constant_bloom, looks_capped
from hookfarm.chain.node import Node, block_call, require_list, result_or_raise
from hookfarm.chain.profiles import Learned
from hookfarm.chain.rpc import Call, Incomplete, RateLimited, Refused
from hookfarm.chain.transfers import (
    Receipts,
    complete_receipts,
    hashes_of,
    receipt_logs,
    transactions_of,
    transfers_of,
)
from hookfarm.errors import ChainUnavailable
from hookfarm.event_stream.event_json import encode_events
from hookfarm.records import Event

MAX_WHOLE_BLOCKS = 8
"""Per request. A full block of Ethereum takes about 1 MB with its receipts."""
COMPARED_HEADERS = 8
"""Headers on each side whose blooms are compared before a bloom counts as constant."""
BEYOND_BLOOM = "logs beyond the bloom"
CONSTANT_BLOOM = "constant bloom"


class _Found(NamedTuple):
    """The logs of a block from one source; `reason` as in Completeness. None = the source failed."""

    source: str
    events: list[Event] | None
    reason: str


_Source = Callable[[Node, Header], Awaitable[_Found]]
_LOGS = "eth_getLogs"
_RECEIPTS = "in its receipts"


class Prover:
    """Source of one chain's blocks with proven logs; `verify` as in ChainConfig."""

    def __init__(self, chain_id: int, verify: str | None = None) -> None:
        self.repaired = 0
        """Blocks with incomplete logs from one source and complete ones from the other."""
        self.beyond_bloom = 0
        """Blocks with logs beyond the bloom, on which both sources agree."""
        self.notices: list[tuple[str, int]] = []
        """What was learned about the chain's proofs, each once, with the block. Readers clear the list."""
        self.transfers = False
        """Whether blocks include their transfers."""
        self._chain_id = chain_id
        self._by_receipts = verify == "receipts"
        self._checks = Completeness(chain_id, verify)
        self._noticed: set[str] = set()

    @property
    def learned(self) -> Learned:
        """What was learned about the chain's blooms."""
        return self._checks.learned

    def max_blocks(self, node: Node) -> int:
        """Return the number of blocks per request, far behind the head."""
        most = node.profile.ranges.blocks
        return min(most, MAX_WHOLE_BLOCKS) if self.transfers else most

    async def canonical(self, node: Node, numbers: Sequence[int], hint: str = "") -> list[Block]:
        """Return the canonical blocks of these numbers.

        `hint` is the hash that the last one probably has. It saves a request for a single block.
        """
        if self.transfers:
            return await self._whole(node, numbers, hint)
        if not hint or len(numbers) > 1:
            return await self.blocks(node, await node.headers(numbers))
        raw, answer = await _ask(node, [block_call(numbers[0]), self._call(hint)])
        header = node.read_header(numbers[0], result_or_raise(raw))
        if header.block_hash != hint:
            return await self.blocks(node, [header])
        return await self._proven_all(node, [header], [answer])

    async def blocks(self, node: Node, headers: Sequence[Header]) -> list[Block]:
        """Return the blocks of these headers, fetched by hash; one request unless a check fails.

        For an unknown block a node may return an empty list. Without a bloom that is undetectable, so the same
        batch requests the block.
        """
        calls = [self._call(header.block_hash) for header in headers]
        unproven = [header for header in headers if self._checks.needs_block(header)]
        shown: list[Call] = [("eth_getBlockByHash", [header.block_hash, False]) for header in unproven]
        answers = await _ask(node, calls + shown)
        if None in map(result_or_raise, answers[len(calls) :]):
            raise ChainUnavailable(f"{node.origin}: does not have a block that it announced")
        return await self._proven_all(node, headers, answers[: len(calls)])

    async def range(self, node: Node, first: int, last: int) -> list[Block]:
        """Return the canonical blocks of a range, halved until the node accepts each part."""
        if self.transfers or self._by_receipts or first == last:
            return await self.canonical(node, range(first, last + 1))
        try:
            return await self._range(node, first, last)
        except RateLimited:
            raise
        except ChainUnavailable:
            if node.closed:
                raise
            node.profile.ranges.refused(last - first + 1)
        left, right = halves(first, last)
        return await self.range(node, *left) + await self.range(node, *right)

    async def _range(self, node: Node, first: int, last: int) -> list[Block]:
        logs, headers = await asyncio.gather(node.logs_between(first, last), node.headers(range(first, last + 1)))
        if looks_capped(len(logs)):
            raise Refused(f"{node.origin}: exactly {len(logs)} logs, probably truncated")
        self._checks.learn(headers)
        found = logs_by_block(logs)
        if not found.keys() <= {header.number for header in headers}:
            raise ChainUnavailable(f"{node.origin}: sent logs from outside the range")
        blocks = [await self._proven_in_range(node, header, found.get(header.number, [])) for header in headers]
        node.profile.ranges.accepted(last - first + 1, len(logs))
        return blocks

    async def _proven_in_range(self, node: Node, header: Header, logs: list[Any]) -> Block:
        """Return a proven block of a range; yield to other tasks before each block.

        A range may hold thousands of logs; proven blocks are published meanwhile.
        """
        await asyncio.sleep(0)
        found = self._judge(_LOGS, header, logs)
        if found.events is not None and not found.reason:
            return Block(header, encode_events(found.events))
        [block] = await self.blocks(node, [header])
        return block

    def _call(self, block_hash: str) -> Call:
        """Return the call of the first source of a block's logs."""
        if self._by_receipts:
            return "eth_getBlockReceipts", [block_hash]
        return "eth_getLogs", [{"blockHash": block_hash}]

    async def _proven_all(self, node: Node, headers: Sequence[Header], answers: Sequence[Any]) -> list[Block]:
        """Return proven blocks; `answers` are the results of `_call`, errors as values."""
        self._checks.learn(headers)
        return [await self._proven(node, *pair) for pair in zip(headers, answers, strict=True)]

    async def _proven(self, node: Node, header: Header, answer: Any) -> Block:
        if not self._by_receipts:
            first = self._logs_in(node, header, answer)
            return Block(header, await self._settle(node, header, first, self._ask_receipts))
        try:
            receipts = require_list(result_or_raise(answer), f"{node.origin}: receipts of block {header.number}")
            first = self._judge(_RECEIPTS, header, receipt_logs(header, receipts))
        except (Refused, Incomplete) as error:
            first = _Found(_RECEIPTS, None, str(error))
        return Block(header, await self._settle(node, header, first, self._ask_receipts, self._ask_logs))

    async def _settle(self, node: Node, header: Header, first: _Found, *others: _Source) -> tuple[bytes, ...]:
        """Return the events of a block from the first source that proves them. Raises Incomplete."""
        found = [first]
        for source in others:
            if not found[-1].reason:
                break
            found.append(await source(node, header))
        last = found[-1]
        if last.events is None or last.reason:
            events = await self._agreed(node, header, {each.source: each for each in found})
            if events is None:
                raise Incomplete(f"{node.origin}: block {header.number}: {_reasons(found)}")
            return encode_events(events)
        if len(found) > 1 and first.events is not None:
            self._count(header, first.events, last.events)
        return encode_events(last.events)

    async def _agreed(self, node: Node, header: Header, found: dict[str, _Found]) -> list[Event] | None:
        """Return the events on which both sources agree, if the bloom is no objection; else None."""
        events = found[_LOGS].events if _LOGS in found else None
        if events is None or _RECEIPTS not in found or found[_RECEIPTS].events != events:
            return None
        if self._checks.covers_bloom(header, events):
            self._count(header, events, events)
            return events
        if not self._checks.may_be_constant(header):
            return None
        if not is_constant_bloom(header, await node.headers(_neighbours(header.number, node.newest_head))):
            return None
        self._checks.constant_bloom = header.logs_bloom
        self._notice(CONSTANT_BLOOM, header)
        return None if self._checks.reason(header, events, may_be_capped=False) else events

    def _count(self, header: Header, doubted: Sequence[Event], events: Sequence[Event]) -> None:
        """Count a block whose events were accepted after a doubt."""
        if doubted != events:
            self.repaired += 1
        elif self._checks.covers_bloom(header, events):
            self.beyond_bloom += 1
            self._notice(BEYOND_BLOOM, header)

    def _notice(self, text: str, header: Header) -> None:
        if text not in self._noticed:
            self._noticed.add(text)
            self.notices.append((text, header.number))

    def _judge(self, source: str, header: Header, logs: Any) -> _Found:
        events = self._checks.in_order(parse_logs(self._chain_id, header, logs))
        return _Found(source, events, self._checks.reason(header, events, may_be_capped=source == _LOGS))

    def _logs_in(self, node: Node, header: Header, answer: Any) -> _Found:
        """Judge a result of `eth_getLogs`, an error as a value."""
        if isinstance(answer, Refused):
            return _Found(_LOGS, None, str(answer))
        return self._judge(_LOGS, header, require_list(result_or_raise(answer), f"{node.origin}: eth_getLogs"))

    async def _ask_logs(self, node: Node, header: Header) -> _Found:
        [answer] = await node.request_all([("eth_getLogs", [{"blockHash": header.block_hash}])])
        return self._logs_in(node, header, answer)

    async def _ask_receipts(self, node: Node, header: Header) -> _Found:
        """Fetch the receipts of all transactions of a block, one by one if necessary."""
        block_hash = header.block_hash
        calls: list[Call] = [("eth_getBlockReceipts", [block_hash]), ("eth_getBlockByHash", [block_hash, False])]
        receipts, block = await node.request_all(calls)
        try:
            hashes = hashes_of(header, result_or_raise(block))
            return self._judge_receipts(header, await complete_receipts(node, header, hashes, receipts))
        except RateLimited:
            raise
        except ChainUnavailable as error:
            if node.closed:
                raise
            return _Found(_RECEIPTS, None, str(error))

    def _judge_receipts(self, header: Header, receipts: Receipts) -> _Found:
        """Judge the logs of a block's receipts. If some are absent, only a bloom proves the logs complete."""
        found = self._judge(_RECEIPTS, header, receipts.logs)
        if not receipts.absent:
            return found
        absent = f"no receipts of {len(receipts.absent)} transactions"
        proven = self._checks.uses_bloom(header) and not found.reason
        return found if proven else _Found(_RECEIPTS, None, found.reason or absent)

    async def _whole(self, node: Node, numbers: Sequence[int], hint: str = "") -> list[Block]:
        """Return canonical blocks with transfers; halve `numbers` if too many or refused."""
        if len(numbers) <= MAX_WHOLE_BLOCKS:
            try:
                return await self._whole_at_once(node, numbers, hint)
            except Refused:
                if len(numbers) < 2:
                    raise
        middle = len(numbers) // 2
        return await self._whole(node, numbers[:middle]) + await self._whole(node, numbers[middle:])

    async def _whole_at_once(self, node: Node, numbers: Sequence[int], hint: str) -> list[Block]:
        """Return blocks with transfers, in two requests; one for a single block with the hash `hint`."""
        if hint and len(numbers) == 1:
            calls = [block_call(numbers[0], whole=True), ("eth_getBlockReceipts", [hint])]
            raw, receipts = await _ask(node, calls)
            found = [(node.read_header(numbers[0], result_or_raise(raw)), raw)]
            if found[0][0].block_hash == hint:
                return await self._whole_blocks(node, found, [receipts])
        else:
            found = await node.whole_blocks(numbers)
        answers = await _ask(node, [("eth_getBlockReceipts", [header.block_hash]) for header, _ in found])
        return await self._whole_blocks(node, found, answers)

    async def _whole_blocks(
        self, node: Node, found: Sequence[tuple[Header, Any]], receipts: Sequence[Any]
    ) -> list[Block]:
        self._checks.learn([header for header, _ in found])
        return [await self._whole_block(node, *each, answer) for each, answer in zip(found, receipts, strict=True)]

    async def _whole_block(self, node: Node, header: Header, raw: Any, answer: Any) -> Block:
        try:
            transactions = transactions_of(header, raw)
            receipts = await complete_receipts(node, header, hashes_of(header, raw), answer)
            transfers = transfers_of(self._chain_id, header, transactions, receipts)
        except Incomplete as error:
            raise Incomplete(f"{node.origin}: {error}") from error
        events = await self._settle(node, header, self._judge_receipts(header, receipts), self._ask_logs)
        return Block(header, events, encode_events(transfers))


async def _ask(node: Node, calls: Sequence[Call]) -> list[Any]:
    """Return the results of calls; the batch includes the calls for tagged heads if they are due."""
    tags = node.tags.due()
    answers = await node.request_all([*calls, *tags])
    node.tags.record(answers[len(calls) :], node.head_number)
    return answers[: len(calls)]


def _neighbours(number: int, newest: Head | None) -> list[int]:
    """Return the numbers of blocks around this one, without block 0, which some chains lack."""
    last = number if newest is None else min(number + COMPARED_HEADERS, newest.number)
    return [each for each in range(max(number - COMPARED_HEADERS, 1), last + 1) if each != number]


def _reasons(found: Sequence[_Found]) -> str:
    """Return why each source proves nothing."""
    first, *others = found
    return "; ".join([first.reason, *(f"{each.source}: {each.reason}" for each in others)])


def halves(first: int, last: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Split a range of at least two blocks in the middle."""
    middle = (first + last) // 2
    return (first, middle), (middle + 1, last)
