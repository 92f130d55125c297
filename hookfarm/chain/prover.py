"""Blocks with all their events, proven complete.

1. Fetch a block's logs: by its hash near the head, in a range far behind it.
2. Judge them (see log_judge.py), if necessary with the logs from another source.
3. Raise Doubtful for a block that stays without a proof: the caller pauses or switches nodes, and never skips it.

With transfers, whole blocks and receipts replace headers and logs. With `verify=receipts-root` receipts are the
only source, and the roots in the header the only proof (see root_proof.py).
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from hookfarm.chain.block import Block, Header, logs_by_block
from hookfarm.chain.completeness import (
    looks_capped,
)
from hookfarm.chain.log_judge import LOGS, RECEIPTS, FoundLogs, LogJudge
from hookfarm.chain.node import Node, block_call, require_list, result_or_raise
from hookfarm.chain.root_proof import OTHER_HASH, RootProof, has_receipts
from hookfarm.chain.rpc import Call, Incomplete, RateLimited, Refused
from hookfarm.chain.transfers import (
    Receipts,
    complete_receipts,
    hashes_of,
    receipt_logs,
    transactions_of,
    transfers_given,
    transfers_of,
)
from hookfarm.errors import ChainUnavailable
from hookfarm.event_stream.event_json import encode_events
from hookfarm.records import Event

MAX_WHOLE_BLOCKS = 8
"""Per request. A full block of Ethereum takes about 1 MB with its receipts."""


class Prover(LogJudge):
    """Source of one chain's blocks with proven logs; `verify` as in ChainConfig."""

    def __init__(self, chain_id: int, verify: str | None = None) -> None:
        super().__init__(chain_id, verify)
        self.transfers = False
        """Whether blocks include their transfers."""
        self._by_receipts = verify == "receipts"
        self._roots = RootProof(chain_id) if verify == "receipts-root" else None
        self._turn = asyncio.Lock()

    def max_blocks(self, node: Node) -> int:
        """Return the number of blocks per request, far behind the head."""
        most = node.profile.ranges.blocks
        return min(most, MAX_WHOLE_BLOCKS) if self._needs_receipts else most

    @property
    def _needs_receipts(self) -> bool:
        """Whether each block is fetched with its receipts."""
        return self.transfers or self._roots is not None

    async def canonical(self, node: Node, numbers: Sequence[int], hint: str = "") -> list[Block]:
        """Return the canonical blocks of these numbers.

        `hint` is the hash that the last one probably has. It saves a request for a single block.
        """
        if self._needs_receipts:
            return await self._whole(node, numbers, hint)
        if not hint or len(numbers) > 1:
            return await self.blocks(node, await node.headers(numbers))
        raw, answer = await _ask(node, [block_call(numbers[0]), self._call(hint)], hint)
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

    def without_logs_of(self, headers: Sequence[Header], may_have: Callable[[int], bool]) -> frozenset[int]:
        """Return the numbers of the blocks that are proven to have no log of a filter.

        See `Completeness.without_logs_of`. Empty if blooms of the chain omit logs, as far as known.
        """
        self._checks.learn(headers)
        return frozenset() if self.beyond_bloom else self._checks.without_logs_of(headers, may_have)

    async def range(self, node: Node, first: int, last: int, known: Sequence[Header] | None = None) -> list[Block]:
        """Return the canonical blocks of a range, halved until the node accepts each part.

        `known`: the headers of these and perhaps further blocks, if they are known.
        """
        if self._needs_receipts or self._by_receipts or first == last:
            return await self.canonical(node, range(first, last + 1))
        try:
            return await self._range(node, first, last, known)
        except RateLimited:
            raise
        except ChainUnavailable:
            if node.closed:
                raise
            node.profile.ranges.refused(last - first + 1)
        left, right = halves(first, last)
        return await self.range(node, *left, known) + await self.range(node, *right, known)

    async def _range(self, node: Node, first: int, last: int, known: Sequence[Header] | None) -> list[Block]:
        if known is None:
            wanted = node.headers(range(first, last + 1))
            logs, headers = await asyncio.gather(node.logs_between(first, last), wanted)
        else:
            logs = await node.logs_between(first, last)
            headers = [header for header in known if first <= header.number <= last]
        self.received += len(logs)
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
        """Return a proven block of a range; all ranges of the chain together prove one per turn of the event loop.

        A range may hold thousands of logs. Meanwhile, proven blocks are published, and other chains of the process
        take their turns.
        """
        async with self._turn:
            await asyncio.sleep(0)
            found = self._judge(LOGS, header, logs)
        if found.events is not None and not found.reason:
            if found.is_renumbered:
                self._count(header, found, found.events, is_renumbered=True)
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
            logs = receipt_logs(header, receipts)
            self.received += len(logs)
            first = self._judge(RECEIPTS, header, logs)
        except (Refused, Incomplete) as error:
            first = FoundLogs(RECEIPTS, None, str(error))
        return Block(header, await self._settle(node, header, first, self._ask_receipts, self._ask_logs))

    async def _whole(self, node: Node, numbers: Sequence[int], hint: str = "") -> list[Block]:
        """Return canonical blocks with their receipts; halve `numbers` if too many or refused."""
        if len(numbers) <= MAX_WHOLE_BLOCKS:
            try:
                return await self._whole_at_once(node, numbers, hint, transfers=self.transfers)
            except Refused:
                if len(numbers) < 2:
                    raise
        middle = len(numbers) // 2
        return await self._whole(node, numbers[:middle]) + await self._whole(node, numbers[middle:])

    async def _whole_at_once(
        self, node: Node, numbers: Sequence[int], hint: str, *, transfers: bool
    ) -> list[Block]:
        """Return blocks by their receipts, in two requests; one for a single block with the hash `hint`."""
        if hint and len(numbers) == 1:
            calls = [block_call(numbers[0], whole=transfers), ("eth_getBlockReceipts", [hint])]
            raw, receipts = await _ask(node, calls, hint)
            header = node.read_header(numbers[0], result_or_raise(raw))
            if header.block_hash == hint:
                self._checks.learn([header])
                return [await self._whole_block(node, header, raw, receipts, transfers=transfers)]
            found = [(header, raw)]
        else:
            found = await node.raw_blocks(numbers, whole=transfers)
        self._checks.learn([header for header, _ in found])
        wanted = [header.block_hash for header, raw in found if self._roots is None or has_receipts(raw)]
        answers = await _ask(node, [("eth_getBlockReceipts", [block_hash]) for block_hash in wanted])
        receipts_of = dict(zip(wanted, answers, strict=True))
        return [
            await self._whole_block(node, header, raw, receipts_of.get(header.block_hash, []), transfers=transfers)
            for header, raw in found
        ]

    async def _whole_block(self, node: Node, header: Header, raw: Any, answer: Any, *, transfers: bool) -> Block:
        """Return a proven block; `answer` is the result of `eth_getBlockReceipts`, an error as a value."""
        try:
            transactions = transactions_of(header, raw) if transfers else []
            receipts = await complete_receipts(node, header, hashes_of(header, raw), answer)
            moved = encode_events(transfers_of(self._chain_id, header, transactions, receipts))
            if self._roots is not None:
                await asyncio.sleep(0)  # Lets other tasks run: a proof takes milliseconds.
                events = encode_events(self._by_roots(self._roots, header, raw, receipts))
                if transfers:
                    self._roots.check_transactions(header, raw, transactions)
                return Block(header, events, moved if transfers else None)
        except Incomplete as error:
            logs = (await self._ask_logs(node, header)).events
            accepted = await self._accepted(
                node, header, logs, str(error).removeprefix(f"block {header.number}: ")
            )
            given = await transfers_given(self._chain_id, node, header, raw, answer) if transfers else None
            return Block(header, encode_events(accepted), None if given is None else encode_events(given))
        events = await self._settle(node, header, self._judge_receipts(header, receipts), self._ask_logs)
        return Block(header, events, moved)

    def _by_roots(self, roots: RootProof, header: Header, raw: Any, receipts: Receipts) -> list[Event]:
        if not roots.check_header(header, raw):
            self._notice(OTHER_HASH, header)
        self.received += len(receipts.logs)
        return roots.events(header, raw, receipts)


async def _ask(node: Node, calls: Sequence[Call], hint: str = "") -> list[Any]:
    """Return the results of calls; the batch includes the calls for tagged heads if they are due.

    The calls name blocks by hash, except the first one with a `hint`: its block should have that hash. So results
    of another node will do if all are there and this hash is right.
    """

    def is_right(answers: list[Any]) -> bool:
        if any(answer is None or isinstance(answer, ChainUnavailable) for answer in answers):
            return False
        return not hint or answers[0].get("hash") == hint

    tags = node.tags.due()
    answers = await node.request_hedged(calls, tags, is_right)
    node.tags.record(answers[len(calls) :], node.head_number)
    return answers[: len(calls)]


def halves(first: int, last: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Split a range of at least two blocks in the middle."""
    return (first, (first + last) // 2), ((first + last) // 2 + 1, last)
