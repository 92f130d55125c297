"""Judgement of a block's logs: from each source, whether they are proven, and on which the sources agree.

1. Check contiguous indices, and the header's bloom if the chain has blooms.
2. In doubt, or if the node refuses, take the logs from another source and check them the same way: from the
   receipts of all its transactions, or from `eth_getLogs` where receipts are the first source.
3. Still in doubt, accept logs on which both sources agree log by log, if they set all bits of the bloom: some
   chains omit the logs of system transactions from it. A bloom that is in every header is no bloom. Duplicate
   indices are replaced by the places of the logs in the receipts.
4. Still in doubt, accept what the node gives of a block that an operator has accepted.
5. Otherwise raise Doubtful.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from hookfarm.chain.block import Head, Header, LogOfOtherBlock, parse_logs
from hookfarm.chain.completeness import (
    Completeness,
    distinct,
    identified,
    is_constant_bloom,
    same_indices,
    same_logs,
)
from hookfarm.chain.node import Node, require_list, result_or_raise
from hookfarm.chain.profiles import Learned
from hookfarm.chain.rpc import Call, Doubtful, RateLimited, Refused
from hookfarm.chain.transfers import Receipts, complete_receipts, hashes_of
from hookfarm.errors import ChainUnavailable
from hookfarm.event_stream import AcceptedBlock
from hookfarm.event_stream.event_json import encode_events
from hookfarm.records import Event

COMPARED_HEADERS = 8
"""Headers on each side whose blooms are compared before a bloom counts as constant."""
BEYOND_BLOOM = "logs beyond the bloom"
CONSTANT_BLOOM = "constant bloom"
RENUMBERED = "log indices replaced"
NO_LOGS = "no logs, which no bloom proves"


class FoundLogs(NamedTuple):
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
LogSource = Callable[[Node, Header], Awaitable[FoundLogs]]
LOGS = "eth_getLogs"
RECEIPTS = "in its receipts"


class LogJudge:
    """Judges the logs of one chain's blocks, and counts what it had to do; `verify` as in ChainConfig."""

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
        self._chain_id = chain_id
        self._checks = Completeness(chain_id, verify)
        self._noticed: set[str] = set()

    @property
    def learned(self) -> Learned:
        """What was learned about the chain's blooms."""
        return self._checks.learned

    async def _settle(self, node: Node, header: Header, first: FoundLogs, *others: LogSource) -> tuple[bytes, ...]:
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
            events = await self._agreed(node, header, by_source.get(LOGS), by_source.get(RECEIPTS))
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
        self, node: Node, header: Header, logs: FoundLogs | None, receipts: FoundLogs | None
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

    def _count(self, header: Header, doubted: FoundLogs, events: Sequence[Event], is_renumbered: bool) -> None:
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

    def _judge(self, source: str, header: Header, logs: Any, receipts: Receipts | None = None) -> FoundLogs:
        """Judge the logs of a block; `receipts` are those of the block, if the logs are from them."""
        try:
            parsed = parse_logs(self._chain_id, header, logs, from_receipts=receipts is not None)
        except LogOfOtherBlock as error:
            return FoundLogs(source, None, str(error))
        events, is_renumbered = self._checks.in_order(parsed)
        reason = self._checks.reason(header, events, may_be_capped=source == LOGS)
        return FoundLogs(source, events, reason, is_renumbered, receipts)

    def _logs_in(self, node: Node, header: Header, answer: Any) -> FoundLogs:
        """Judge a result of `eth_getLogs` for a block by its hash, an error as a value."""
        if isinstance(answer, Refused):
            return FoundLogs(LOGS, None, str(answer))
        logs = require_list(result_or_raise(answer), f"{node.origin}: eth_getLogs")
        if not logs and self._checks.needs_receipts(header):
            return FoundLogs(LOGS, [], NO_LOGS)
        self.received += len(logs)
        return self._judge(LOGS, header, logs)

    async def _ask_logs(self, node: Node, header: Header) -> FoundLogs:
        [answer] = await node.request_all([("eth_getLogs", [{"blockHash": header.block_hash}])])
        return self._logs_in(node, header, answer)

    async def _ask_receipts(self, node: Node, header: Header) -> FoundLogs:
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
            return FoundLogs(RECEIPTS, None, str(error))

    def _judge_receipts(self, header: Header, receipts: Receipts) -> FoundLogs:
        """Judge the logs of a block's receipts. If some are absent, only a bloom proves the logs complete."""
        self.received += len(receipts.logs)
        found = self._judge(RECEIPTS, header, receipts.logs, receipts)
        proven = not receipts.absent or found.reason or self._checks.uses_bloom(header)
        return found if proven else found._replace(reason=f"no receipts of {len(receipts.absent)} transactions")


async def _none_accepted(_number: int, _block_hash: str) -> AcceptedBlock | None:
    return None


def _most_events(found: Sequence[FoundLogs]) -> list[Event] | None:
    """Return the events of the source with the most; None if no source gives any. Absent receipts give none."""
    given = (each.events for each in found if not (each.receipts and each.receipts.absent) or each.events)
    return max((events for events in given if events is not None), key=len, default=None)


def _neighbours(number: int, newest: Head | None) -> list[int]:
    """Return the numbers of blocks around this one, without block 0, which some chains lack."""
    last = number if newest is None else min(number + COMPARED_HEADERS, newest.number)
    return [each for each in range(max(number - COMPARED_HEADERS, 1), last + 1) if each != number]


def _reasons(found: Sequence[FoundLogs]) -> str:
    """Return why each source proves nothing."""
    first, *others = found
    return "; ".join([first.reason, *(f"{each.source}: {each.reason}" for each in others)])
