"""Filtered reading: blocks with the logs of a filter, without transferring the others.

1. The headers of the blocks are fetched. The bloom of a header contains every address and topic of the block's
   logs, so most headers prove that their block has no log of the filter.
2. The logs of the filter are requested for the same blocks. That is no proof, because nodes omit logs. It is a
   second opinion: a log in a block whose bloom excludes it shows that the chain's blooms omit logs.
3. Every block that is not excluded, or is named by a log, is read with all its logs and proven as always.

So an omitted log costs nothing, and a bloom that only seems to match costs the other logs of its block.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from hookfarm.abi import bloom
from hookfarm.chain.block import Block, Header, logs_by_block
from hookfarm.chain.completeness import looks_capped
from hookfarm.chain.node import Node
from hookfarm.chain.node_pool import MAX_FILTER_VALUES, RangeSize
from hookfarm.chain.prover import Prover, halves
from hookfarm.chain.rpc import RateLimited, Refused
from hookfarm.errors import ChainUnavailable

MAX_PIECE_BLOCKS = 512
"""Max headers fetched at once, about 8 MB on a busy chain."""
MAX_READ_SHARE = 0.5
"""Share of a piece's blocks above which all are read: a range then costs fewer requests than single blocks."""
MAX_READ_BLOCKS = 8
"""Max blocks read with all their logs in one request."""
TOPICS = 4

Restrictions = Mapping[int, Sequence[str]]
"""Allowed values of a log's address (0) and topics 0 to 3 (1 to 4). A missing or empty entry = any."""


@dataclass(frozen=True, slots=True)
class LogCriteria:
    """The logs that at least one of several subscriptions may match.

    `addresses` and `topics` are the union that `eth_getLogs` can express; empty = any. `alternatives` has the
    bloom bits of the allowed values, for each subscription and each restricted dimension.
    """

    addresses: tuple[str, ...]
    topics: tuple[tuple[str, ...], ...]
    alternatives: tuple[tuple[tuple[int, ...], ...], ...]

    def may_match(self, bits: int) -> bool:
        """Return whether a block with this bloom may have a log of the filter."""
        return any(
            all(any(value & bits == value for value in allowed) for allowed in restricted)
            for restricted in self.alternatives
        )

    def parameters(self, addresses: Sequence[str]) -> dict[str, Any]:
        """Return the parameters of `eth_getLogs` for some of the addresses."""
        topics: list[list[str] | None] = [list(each) or None for each in self.topics]
        while topics and topics[-1] is None:
            topics.pop()
        return ({"address": list(addresses)} if addresses else {}) | ({"topics": topics} if topics else {})


def build_criteria(subscriptions: Sequence[Restrictions]) -> LogCriteria | None:
    """Return the criteria of several subscriptions; None if one allows any log, or they are too wide.

    A filter with more than MAX_FILTER_VALUES addresses or topics would match most blooms.
    """
    if not subscriptions or not all(any(each.values()) for each in subscriptions):
        return None
    addresses, *topics = (_union(subscriptions, dimension) for dimension in range(TOPICS + 1))
    if max(map(len, (addresses, *topics))) > MAX_FILTER_VALUES:
        return None
    return LogCriteria(addresses, tuple(topics), tuple(map(_bits, subscriptions)))


def _union(subscriptions: Sequence[Restrictions], dimension: int) -> tuple[str, ...]:
    """Return the values that any subscription allows in a dimension; empty = one allows any value."""
    allowed = [each.get(dimension, ()) for each in subscriptions]
    return tuple(dict.fromkeys(value for values in allowed for value in values)) if all(allowed) else ()


def _bits(restrictions: Restrictions) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(map(bloom.bits_of_hex, values)) for values in restrictions.values() if values)


class FilteredReader:
    """Source of a range's blocks: those that may have a log of the criteria have all logs, the others none."""

    def __init__(self, prover: Prover, criteria: LogCriteria) -> None:
        self._prover = prover
        self._criteria = criteria
        self._pieces = RangeSize(maximum=MAX_PIECE_BLOCKS)
        self._reads_all = False
        """Whether the newest range was read without the filter."""

    def max_blocks(self, node: Node) -> int:
        """Return the number of blocks per range. Their logs are few enough to be kept in memory."""
        blocks = self._pieces.blocks
        return min(blocks, self._prover.max_blocks(node)) if self._reads_all else blocks

    async def range(self, node: Node, first: int, last: int) -> list[Block]:
        """Return the canonical blocks of a range, halved until the node answers for each part."""
        if first == last:
            return await self._prover.range(node, first, last)
        try:
            return await self._range(node, first, last)
        except RateLimited:
            raise
        except ChainUnavailable:
            if node.closed:
                raise
        left, right = halves(first, last)
        return await self.range(node, *left) + await self.range(node, *right)

    async def _range(self, node: Node, first: int, last: int) -> list[Block]:
        headers = await node.headers(range(first, last + 1))
        excluded = self._prover.without_logs_of(headers, self._criteria.may_match)
        named: set[int] | None = None
        if len(headers) - len(excluded) <= MAX_READ_SHARE * len(headers):
            named = await self._named(node, first, last)
        self._reads_all = named is None
        if named is None:
            blocks = await self._read_all(node, first, last, headers)
        elif named <= {header.number for header in headers}:
            blocks = await self._read(node, headers, excluded - named)
        else:
            raise ChainUnavailable(f"{node.origin}: sent logs from outside the range")
        self._pieces.accepted(last - first + 1, sum(len(block.events) for block in blocks))
        return blocks

    async def _read_all(self, node: Node, first: int, last: int, headers: Sequence[Header]) -> list[Block]:
        blocks: list[Block] = []
        while first <= last:
            end = min(first + self._prover.max_blocks(node) - 1, last)
            blocks += await self._prover.range(node, first, end, headers)
            first = end + 1
        return blocks

    async def _read(self, node: Node, headers: Sequence[Header], excluded: Set[int]) -> list[Block]:
        wanted = [header for header in headers if header.number not in excluded]
        read: dict[int, Block] = {}
        for start in range(0, len(wanted), MAX_READ_BLOCKS):
            blocks = await self._prover.blocks(node, wanted[start : start + MAX_READ_BLOCKS])
            read |= {block.header.number: block for block in blocks}
        return [read.get(header.number) or Block(header, ()) for header in headers]

    async def _named(self, node: Node, first: int, last: int) -> set[int] | None:
        """Return the numbers of the blocks in which the node reports logs of the criteria.

        None if it refuses the request for a single block.
        """
        sizes = node.profile.filtered_ranges
        named: set[int] = set()
        while first <= last:
            end = min(first + sizes.blocks - 1, last)
            try:
                logs = await self._reported(node, first, end)
            except RateLimited:
                raise
            except ChainUnavailable as error:
                if node.closed or (first == end and not isinstance(error, Refused)):
                    raise
                if first == end:
                    return None
                sizes.refused(end - first + 1)
                continue
            sizes.accepted(end - first + 1, len(logs))
            named |= logs_by_block(logs).keys()
            first = end + 1
        return named

    async def _reported(self, node: Node, first: int, last: int) -> list[Any]:
        """Return the logs that the node reports in a range, asked with as many addresses as it accepts."""
        addresses = self._criteria.addresses
        found: list[Any] = []
        done = 0
        while True:
            part = addresses[done : done + node.profile.filter_addresses]
            parameters = self._criteria.parameters(part)
            try:
                logs = await node.logs_between(first, last, parameters)
            except Refused:
                if len(part) < 2 or await _accepts(node, first, parameters):
                    raise
                node.profile.filter_addresses = len(part) // 2
                continue
            self._prover.received += len(logs)
            if looks_capped(len(logs)):
                raise Refused(f"{node.origin}: exactly {len(logs)} logs, probably truncated")
            found += logs
            done += len(part)
            if done >= len(addresses):
                return found


async def _accepts(node: Node, number: int, parameters: Mapping[str, Any]) -> bool:
    """Return whether the node accepts a filter for a single block: then a refused range was too long."""
    try:
        await node.logs_between(number, number, parameters)
    except Refused:
        return False
    return True
