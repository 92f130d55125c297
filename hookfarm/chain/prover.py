"""Blocks with all their events, proven complete.

1. Fetch a block's logs: by its hash near the head, in a range far behind it.
2. Check contiguous indices, and the header's bloom if the chain has blooms.
3. On a mismatch, or if the node refuses the logs of a single block, take the logs from the block's receipts and
   check them the same way.
4. On a second mismatch, raise Incomplete: the caller pauses or switches nodes, and never skips the block.

With transfers, whole blocks and receipts replace headers and logs.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from hookfarm.chain.block import (
    Block,
    Header,
    logs_by_block,
    parse_header,
    parse_logs,
    receipt_logs,
)
from hookfarm.chain.completeness import bloom_has_logs, in_order, incompleteness_reason, looks_capped
from hookfarm.chain.node import Node, require_list, result_or_raise
from hookfarm.chain.rpc import Call, Incomplete, RateLimited, Refused
from hookfarm.chain.transfers import receipts_one_by_one, transactions_of, transfers_of
from hookfarm.errors import ChainUnavailable
from hookfarm.event_stream.event_json import encode_events
from hookfarm.records import Event

VERIFY_BY_CHAIN = {137: "contiguous", 80002: "contiguous"}
"""Polygon and its testnet: `eth_getLogs` returns logs of state syncs, which the header's bloom omits."""
MAX_WHOLE_BLOCKS = 8
"""Per request. A full block of Ethereum takes about 1 MB with its receipts."""


class Prover:
    """Source of one chain's blocks with proven logs; `verify` as in ChainConfig."""

    def __init__(self, chain_id: int, verify: str | None = None) -> None:
        self.repaired = 0
        """Blocks with incomplete logs but complete receipts."""
        self.transfers = False
        """Whether blocks include their transfers."""
        self._chain_id = chain_id
        self._verify = verify or VERIFY_BY_CHAIN.get(chain_id, "bloom")
        self._has_blooms = False
        """True after the first header with a nonzero bloom."""

    def max_blocks(self, node: Node) -> int:
        """Return the number of blocks per request, far behind the head."""
        most = node.profile.ranges.blocks
        return min(most, MAX_WHOLE_BLOCKS) if self.transfers else most

    async def canonical(self, node: Node, numbers: Sequence[int], known: Header | None = None) -> list[Block]:
        """Return the canonical blocks of these numbers, followed by the block of the header `known`."""
        if self.transfers:
            return await self._whole(node, numbers, known)
        headers = await node.headers(numbers) if numbers else []
        return await self.blocks(node, [*headers, known] if known else headers)

    async def blocks(self, node: Node, headers: Sequence[Header]) -> list[Block]:
        """Return the blocks of these headers, fetched by hash; one request unless a check fails."""
        self._learn(headers)
        if self._verify == "receipts":
            return await self._blocks_by_receipts(node, headers)
        answers = await self._logs_by_hash(node, headers)
        return [await self._proven(node, *pair) for pair in zip(headers, answers, strict=True)]

    async def range(self, node: Node, first: int, last: int) -> list[Block]:
        """Return the canonical blocks of a range, halved until the node accepts each part."""
        if self.transfers or self._verify == "receipts" or first == last:
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
        self._learn(headers)
        found = logs_by_block(logs)
        if not found.keys() <= {header.number for header in headers}:
            raise ChainUnavailable(f"{node.origin}: sent logs from outside the range")
        blocks = [await self._proven_in_range(node, header, found.get(header.number, [])) for header in headers]
        node.profile.ranges.accepted(len(headers), len(logs))
        return blocks

    async def _proven_in_range(self, node: Node, header: Header, logs: list[Any]) -> Block:
        """Return a proven block of a range; yield to other tasks before each block.

        A range may hold thousands of logs; proven blocks are published meanwhile.
        """
        await asyncio.sleep(0)
        events, reason = self._judge(header, logs)
        if not reason:
            return Block(header, encode_events(events))
        [block] = await self.blocks(node, [header])
        return block

    async def _proven(self, node: Node, header: Header, logs: list[Any] | Refused) -> Block:
        """Return a proven block; `logs` may be a refusal, for example of too many logs."""
        events, reason = ([], str(logs)) if isinstance(logs, Refused) else self._judge(header, logs)
        if reason:
            events = await self._events_of_receipts(node, header, reason)
            self.repaired += 1
        return Block(header, encode_events(events))

    def _judge(self, header: Header, logs: Any) -> tuple[list[Event], str]:
        events = in_order(parse_logs(self._chain_id, header, logs))
        if self._verify == "none":
            return events, ""
        if self._bloom_is_missing(header) and events:
            return events, f"{len(events)} logs under a bloom of zeros"
        return events, incompleteness_reason(header, events, use_bloom=self._uses_bloom(header))

    async def _events_of_receipts(self, node: Node, header: Header, reason: str) -> list[Event]:
        """Return the events of a block's receipts, which replace its doubtful logs. Raises Incomplete."""
        problem = f"{node.origin}: block {header.number}: {reason}"
        try:
            receipts = await node.request("eth_getBlockReceipts", header.block_hash)
        except Refused as error:
            raise Incomplete(f"{problem}; no receipts: {error}") from error
        if receipts is None:
            raise Incomplete(f"{problem}; no receipts")
        events = in_order(parse_logs(self._chain_id, header, receipt_logs(header, receipts)))
        still = incompleteness_reason(header, events, use_bloom=self._uses_bloom(header), may_be_capped=False)
        if still:
            raise Incomplete(f"{problem}; in its receipts: {still}")
        return events

    async def _blocks_by_receipts(self, node: Node, headers: Sequence[Header]) -> list[Block]:
        answers = await _ask(node, [("eth_getBlockReceipts", [header.block_hash]) for header in headers])
        blocks = []
        for header, answer in zip(headers, answers, strict=True):
            receipts = require_list(result_or_raise(answer), f"{node.origin}: receipts of block {header.number}")
            blocks.append(Block(header, self._events_in(node, header, receipts)))
        return blocks

    def _events_in(self, node: Node, header: Header, receipts: list[Any]) -> tuple[bytes, ...]:
        events = in_order(parse_logs(self._chain_id, header, receipt_logs(header, receipts)))
        reason = incompleteness_reason(header, events, use_bloom=self._uses_bloom(header), may_be_capped=False)
        if reason and self._verify != "none":
            raise Incomplete(f"{node.origin}: receipts of block {header.number}: {reason}")
        return encode_events(events)

    async def _whole(self, node: Node, numbers: Sequence[int], known: Header | None) -> list[Block]:
        """Return canonical blocks with transfers; halve `numbers` if too many or refused."""
        if len(numbers) <= MAX_WHOLE_BLOCKS:
            try:
                return await self._whole_at_once(node, numbers, known)
            except Refused:
                if len(numbers) < 2:
                    raise
        middle = len(numbers) // 2
        return await self._whole(node, numbers[:middle], None) + await self._whole(node, numbers[middle:], known)

    async def _whole_at_once(self, node: Node, numbers: Sequence[int], known: Header | None) -> list[Block]:
        """Return blocks with transfers, in two requests; one for a single known header."""
        found = await node.whole_blocks(numbers) if numbers else []
        headers = [header for header, _ in found] + ([known] if known else [])
        self._learn(headers)
        calls: list[Call] = [("eth_getBlockReceipts", [header.block_hash]) for header in headers]
        shown: list[Call] = [("eth_getBlockByHash", [known.block_hash, True])] if known else []
        answers = await _ask(node, calls + shown)
        receipts, blocks = answers[: len(calls)], [block for _, block in found]
        blocks += [result_or_raise(answer) for answer in answers[len(calls) :]]
        return [await self._whole_block(node, *each) for each in zip(headers, blocks, receipts, strict=True)]

    async def _whole_block(self, node: Node, header: Header, block: Any, receipts: Any) -> Block:
        if block is None:
            raise ChainUnavailable(f"{node.origin}: does not have block {header.number}")
        try:
            transactions = transactions_of(header, block)
            # The header of an announced head may hold a zero bloom; the block's own header does not.
            header = parse_header(block)
            if isinstance(receipts, Refused):
                receipts = await receipts_one_by_one(node, header, transactions)
            receipts = require_list(result_or_raise(receipts), f"receipts of block {header.number}")
            transfers = transfers_of(self._chain_id, header, transactions, receipts)
        except Incomplete as error:
            raise Incomplete(f"{node.origin}: {error}") from error
        return Block(header, self._events_in(node, header, receipts), encode_events(transfers))

    async def _logs_by_hash(self, node: Node, headers: Sequence[Header]) -> list[list[Any] | Refused]:
        """Return the logs of each block, Refused as a value.

        For an unknown block a node may return an empty list. Without a bloom that is undetectable, so the same
        batch requests the block.
        """
        calls: list[Call] = [("eth_getLogs", [{"blockHash": header.block_hash}]) for header in headers]
        silent = [header for header in headers if self._verify != "none" and not self._uses_bloom(header)]
        shown: list[Call] = [("eth_getBlockByHash", [header.block_hash, False]) for header in silent]
        answers = await _ask(node, calls + shown)
        if None in map(result_or_raise, answers[len(calls) :]):
            raise ChainUnavailable(f"{node.origin}: does not have a block that it announced")
        return [
            answer
            if isinstance(answer, Refused)
            else require_list(result_or_raise(answer), f"{node.origin}: eth_getLogs")
            for answer in answers[: len(calls)]
        ]

    def _uses_bloom(self, header: Header) -> bool:
        """Return whether a header's bloom is a proof; a zero bloom is not.

        Some chains write zero blooms into every header, and some nodes into announcements. If a zero bloom is
        correct, the block has no logs to prove.
        """
        return self._verify in ("bloom", "receipts") and bloom_has_logs(header)

    def _bloom_is_missing(self, header: Header) -> bool:
        """Return whether a header lacks its bloom on a chain with blooms."""
        return self._has_blooms and not bloom_has_logs(header)

    def _learn(self, headers: Sequence[Header]) -> None:
        self._has_blooms = self._has_blooms or any(map(self._uses_bloom, headers))


async def _ask(node: Node, calls: Sequence[Call]) -> list[Any]:
    """Return the results of calls; the batch includes the calls for tagged heads if they are due."""
    tags = node.tags.due()
    answers = await node.request_all([*calls, *tags])
    node.tags.record(answers[len(calls) :])
    return answers[: len(calls)]


def halves(first: int, last: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Split a range of at least two blocks in the middle."""
    middle = (first + last) // 2
    return (first, middle), (middle + 1, last)
