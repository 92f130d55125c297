"""Blocks in order, fetched ahead concurrently: in ranges far behind the head, by hash near it."""

import asyncio
from collections import deque
from types import TracebackType

from hookfarm.chain.block import Block, Head
from hookfarm.chain.filtered_reader import FilteredReader
from hookfarm.chain.node import Node
from hookfarm.chain.prover import Prover
from hookfarm.errors import ChainUnavailable

IN_FLIGHT = 4
"""Pieces fetched at once."""
NEAR_BLOCKS = 32
"""Blocks this close to the head are fetched by hash: a reorg may change a range during the request."""
NEAR_PIECE = 8
BATCH_BLOCKS = 256
BATCH_EVENTS = 2_000
"""Limit of one publishing script, which blocks Redis (2,000 events: about 5 ms)."""


class BlockFeed:
    """Feed of the blocks from `first` to `head`, fetched ahead. Leaving its context cancels pending requests.

    Blocks are fetched by number, so each one is canonical by itself. The caller checks their parent hashes, which
    also prove that null rounds have no block. With a FilteredReader, blocks before the head may lack logs that do
    not meet its criteria.
    """

    def __init__(
        self, node: Node, prover: Prover, first: int, head: Head, filtered: FilteredReader | None = None
    ) -> None:
        self._node = node
        self._prover = prover
        self._next = first
        self._head = head
        self._far: FilteredReader | Prover = prover if filtered is None else filtered
        # A filtered piece is read by hash, so a reorg does no harm. The head itself must be there.
        self._far_end = head.number - (NEAR_BLOCKS if filtered is None else 1)
        self._fetching: deque[asyncio.Task[list[Block]]] = deque()
        self._ready: deque[Block] = deque()

    async def batch(self) -> list[Block]:
        """Return the fetched blocks, waiting for at least one; an empty list after the head.

        Raises ChainUnavailable if the next block failed; earlier calls have returned all blocks before it.
        """
        self._fetch_ahead()
        while not self._ready and self._fetching:
            self._ready.extend(await self._fetching[0])
            self._fetching.popleft()
            self._fetch_ahead()
        while len(self._ready) < BATCH_BLOCKS and self._next_is_there():
            self._ready.extend(self._fetching.popleft().result())
        self._fetch_ahead()
        return self._take()

    async def __aenter__(self) -> "BlockFeed":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._fetching:
            task.cancel()
        await asyncio.gather(*self._fetching, return_exceptions=True)

    def _take(self) -> list[Block]:
        blocks: list[Block] = []
        events = 0
        while self._ready and len(blocks) < BATCH_BLOCKS:
            events += len(self._ready[0].entries)
            if blocks and events > BATCH_EVENTS:
                break
            blocks.append(self._ready.popleft())
        return blocks

    def _next_is_there(self) -> bool:
        if not self._fetching or not self._fetching[0].done():
            return False
        return self._fetching[0].exception() is None

    def _fetch_ahead(self) -> None:
        while len(self._fetching) < IN_FLIGHT and self._next <= self._head.number:
            first, last = self._next, self._piece_end()
            far = last <= self._far_end
            fetch = self._far.range(self._node, first, last) if far else self._near(first, last)
            self._fetching.append(asyncio.create_task(fetch))
            self._next = last + 1

    def _piece_end(self) -> int:
        """Return the last block of the next piece, which is wholly near the head or wholly far behind it."""
        if self._next <= self._far_end:
            return min(self._next + self._far.max_blocks(self._node) - 1, self._far_end)
        return min(self._next + NEAR_PIECE - 1, self._head.number)

    async def _near(self, first: int, last: int) -> list[Block]:
        is_last = last == self._head.number
        hint = self._head.block_hash if is_last else ""
        blocks = await self._prover.canonical(self._node, range(first, last + 1), hint)
        if is_last and (not blocks or blocks[-1].header.number != last):
            raise ChainUnavailable(f"{self._node.origin}: does not have block {last}")
        return blocks
