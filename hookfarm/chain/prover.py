"""Blocks with all their events, proven complete.

1. Fetch a block's logs: by its hash near the head, in a range far behind it.
2. Check contiguous indices, and the header's bloom if the chain has blooms.
3. In doubt, or if the node refuses, take the logs from another source and check them the same way: from the
   receipts of all its transactions, or from `eth_getLogs` where receipts are the first source.
4. Still in doubt, accept logs on which both sources agree log by log, if they set all bits of the bloom: some
   chains omit the logs of system transactions from it. A bloom that is in every header is no bloom. Duplicate
   indices are replaced by the places of the logs in the receipts.
5. Still in doubt, accept what the node gives of a block that an operator has accepted.
6. Otherwise raise Doubtful: the caller pauses or switches nodes, and never skips the block.

With transfers, whole blocks and receipts replace headers and logs. With `verify=receipts-root` receipts are the
only source, and the roots in the header the only proof (see root_proof.py).
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from hookfarm.chain.block import Block, Head, Header, LogOfOtherBlock, logs_by_block, parse_logs
from hookfarm.chain.completeness import (
    Completeness,
    distinct,
    identified,
    is_constant_bloom,
    looks_capped,
    same_indices,
    same_logs,
)
from hookfarm.chain.node import Node, block_call, require_list, result_or_raise
from hookfarm.chain.profiles import Learned
from hookfarm.chain.root_proof import OTHER_HASH, RootProof, has_receipts
from hookfarm.chain.rpc import Call, Doubtful, Incomplete, RateLimited, Refused
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
from hookfarm.event_stream import AcceptedBlock
from hookfarm.event_stream.event_json import encode_events
from hookfarm.records import Event

MAX_WHOLE_BLOCKS = 8
"""Per request. A full block of Ethereum takes about 1 MB with its receipts."""
COMPARED_HEADERS = 8
"""Headers on each side whose blooms are compared before a bloom counts as constant."""
BEYOND_BLOOM = "logs beyond the bloom"
CONSTANT_BLOOM = "constant bloom"
RENUMBERED = "log indices replaced"
NO_LOGS = "no logs, which no bloom proves"


class _Found(NamedTuple):
    """The logs of a block from one source; `reason` as in Completeness. None = the source failed.

    `is_renumbered`: the events have other indices than the node sent. `receipts` are those of the source.
    """

    source: str
    events: list[Event] | None
    reason: str
    is_renumbered: bool = False
    receipts: Receipts | None = None


FindAccepted = Callable[[int, str], Awaitable[AcceptedBlock | None]]
"""Function of a block's number and hash; returns the acceptance of exactly this block."""
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
        self.renumbered = 0
        """Blocks with new log indices."""
        self.received = 0
        """Logs received from nodes, whatever became of them."""
        self.notices: list[tuple[str, int]] = []
        """What was learned about the chain's proofs, each once, with the block. Readers clear the list."""
        self.accepted: dict[int, AcceptedBlock] = {}
        """Unproven blocks that were accepted, by number. Readers clear it."""
        self.find_accepted: FindAccepted = _none_accepted
        self.transfers = False
        """Whether blocks include their transfers."""
        self._chain_id = chain_id
        self._by_receipts = verify == "receipts"
        self._checks = Completeness(chain_id, verify)
        self._roots = RootProof(chain_id) if verify == "receipts-root" else None
        self._noticed: set[str] = set()
        self._turn = asyncio.Lock()

    @property
    def learned(self) -> Learned:
        """What was learned about the chain's blooms."""
        return self._checks.learned

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
            found = self._judge(_LOGS, header, logs)
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
            first = self._judge(_RECEIPTS, header, logs)
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
        events, is_renumbered = last.events, last.is_renumbered
        if events is None or last.reason:
            by_source = {each.source: each for each in found}
            events = await self._agreed(node, header, by_source.get(_LOGS), by_source.get(_RECEIPTS))
            if events is None:
                events = await self._accepted(node, header, _most_events(found), _reasons(found))
                return encode_events(events)
        if len(found) > 1 or is_renumbered:
            self._count(header, first, events, is_renumbered)
        return encode_events(events)

    async def _accepted(self, node: Node, header: Header, events: list[Event] | None, reason: str) -> list[Event]:
        """Return the events of an unproven block, if an operator has accepted it. Raises Doubtful."""
        given = None if events is None else distinct(events)
        accepted = await self.find_accepted(header.number, header.block_hash)
        if given is not None and accepted is not None and len(given) >= accepted.logs:
            self.accepted[header.number] = accepted
            return given
        fewer = f"; accepted with {accepted.logs} logs, and the node gives fewer" if accepted else ""
        message = f"{node.origin}: block {header.number}: {reason}{fewer}"
        raise Doubtful(message, header.number, header.block_hash, None if given is None else len(given))

    async def _agreed(
        self, node: Node, header: Header, logs: _Found | None, receipts: _Found | None
    ) -> list[Event] | None:
        """Return the events on which both sources agree, if the bloom is no objection; else None."""
        if not logs or not receipts or logs.events is None or receipts.events is None or not receipts.receipts:
            return None
        if not same_logs(logs.events, receipts.events):
            return None
        events, has_absent = identified(logs.events, receipts.events), bool(receipts.receipts.absent)
        has_reverts = receipts.receipts.has_reverts
        if self._checks.accepts_agreed(header, receipts.events, has_absent=has_absent, has_reverts=has_reverts):
            return events
        if has_absent or not self._checks.may_be_constant(header):
            return None
        if not is_constant_bloom(header, await node.headers(_neighbours(header.number, node.newest_head))):
            return None
        self._checks.constant_bloom = header.logs_bloom
        self._notice(CONSTANT_BLOOM, header)
        return None if self._checks.reason(header, events, may_be_capped=False) else events

    def _count(self, header: Header, doubted: _Found, events: Sequence[Event], is_renumbered: bool) -> None:
        """Count a proven block whose logs were in doubt, or whose indices were replaced."""
        same = doubted.events is None or same_logs(doubted.events, events)
        if is_renumbered or (same and doubted.events and not same_indices(doubted.events, events)):
            self.renumbered += 1
            self._notice(RENUMBERED, header)
        if not same:
            self.repaired += 1
        elif doubted.reason and doubted.events and self._checks.goes_beyond_bloom(header, events):
            self.beyond_bloom += 1
            self._checks.omits_logs = True
            self._notice(BEYOND_BLOOM, header)

    def _notice(self, text: str, header: Header) -> None:
        if text not in self._noticed:
            self._noticed.add(text)
            self.notices.append((text, header.number))

    def _judge(self, source: str, header: Header, logs: Any, receipts: Receipts | None = None) -> _Found:
        """Judge the logs of a block; `receipts` are those of the block, if the logs are from them."""
        try:
            parsed = parse_logs(self._chain_id, header, logs, from_receipts=receipts is not None)
        except LogOfOtherBlock as error:
            return _Found(source, None, str(error))
        events, is_renumbered = self._checks.in_order(parsed)
        reason = self._checks.reason(header, events, may_be_capped=source == _LOGS)
        return _Found(source, events, reason, is_renumbered, receipts)

    def _logs_in(self, node: Node, header: Header, answer: Any) -> _Found:
        """Judge a result of `eth_getLogs` for a block by its hash, an error as a value."""
        if isinstance(answer, Refused):
            return _Found(_LOGS, None, str(answer))
        logs = require_list(result_or_raise(answer), f"{node.origin}: eth_getLogs")
        if not logs and self._checks.needs_receipts(header):
            return _Found(_LOGS, [], NO_LOGS)
        self.received += len(logs)
        return self._judge(_LOGS, header, logs)

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
        self.received += len(receipts.logs)
        found = self._judge(_RECEIPTS, header, receipts.logs, receipts)
        proven = not receipts.absent or found.reason or self._checks.uses_bloom(header)
        return found if proven else found._replace(reason=f"no receipts of {len(receipts.absent)} transactions")

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


async def _none_accepted(_number: int, _block_hash: str) -> AcceptedBlock | None:
    return None


def _most_events(found: Sequence[_Found]) -> list[Event] | None:
    """Return the events of the source with the most; None if no source gives any."""
    return max((each.events for each in found if each.events is not None), key=len, default=None)


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
    return (first, (first + last) // 2), ((first + last) // 2 + 1, last)
