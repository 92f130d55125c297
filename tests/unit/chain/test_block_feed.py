import asyncio

import pytest

from hookfarm.chain.block import Block, Head, Header
from hookfarm.chain.block_feed import BATCH_BLOCKS, BATCH_EVENTS, IN_FLIGHT, BlockFeed
from hookfarm.chain.node import Node
from hookfarm.errors import ChainUnavailable
from tests.unit.chain.samples import block, header


class FakeNode(Node):
    """Answers when told to; block n has the logs that `logs` gives it."""

    def __init__(self, logs: dict[int, int] | None = None) -> None:
        self.logs = logs or {}
        self.asked_headers: list[int] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self.failing: set[int] = set()
        self.held = asyncio.Event()
        self.held.set()

    async def header(self, number: int) -> Header:
        self.asked_headers.append(number)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await self.held.wait()
            await asyncio.sleep(0)
        finally:
            self.in_flight -= 1
        if number in self.failing:
            raise ChainUnavailable(f"no block {number}")
        return header(number)

    async def block(self, chain_id: int, header: Header) -> Block:
        return block(header.number, logs=self.logs.get(header.number, 0))


async def all_batches(feed: BlockFeed) -> list[list[int]]:
    batches = []
    while found := await feed.batch():
        batches.append([block.header.number for block in found])
    return batches


def test_every_block_comes_once_and_in_order() -> None:
    async def scenario() -> None:
        async with BlockFeed(FakeNode(), 1, 10, Head(99)) as feed:
            batches = await all_batches(feed)
        assert [number for batch in batches for number in batch] == list(range(10, 100))
        assert max(map(len, batches)) <= BATCH_BLOCKS

    asyncio.run(scenario())


def test_several_blocks_are_fetched_at_once_but_not_more_than_the_limit() -> None:
    async def scenario() -> None:
        node = FakeNode()
        async with BlockFeed(node, 1, 1, Head(100)) as feed:
            await all_batches(feed)
        assert node.most_in_flight == IN_FLIGHT

    asyncio.run(scenario())


def test_the_header_that_came_with_the_head_is_not_asked_for() -> None:
    async def scenario() -> None:
        node = FakeNode()
        async with BlockFeed(node, 1, 3, Head(4, header(4))) as feed:
            assert await all_batches(feed) in ([[3, 4]], [[3], [4]])
        assert node.asked_headers == [3]

    asyncio.run(scenario())


def test_a_head_behind_the_first_block_gives_nothing() -> None:
    async def scenario() -> None:
        async with BlockFeed(FakeNode(), 1, 5, Head(4)) as feed:
            assert await feed.batch() == []

    asyncio.run(scenario())


def test_the_blocks_before_one_that_fails_are_given_out_first() -> None:
    async def scenario() -> None:
        node = FakeNode()
        node.failing = {4}
        given: list[int] = []
        async with BlockFeed(node, 1, 1, Head(9)) as feed:
            while len(given) < 3:
                given += [block.header.number for block in await feed.batch()]
            with pytest.raises(ChainUnavailable, match="no block 4"):
                await feed.batch()
        assert given == [1, 2, 3]

    asyncio.run(scenario())


def test_a_batch_ends_before_it_has_too_many_events() -> None:
    async def scenario() -> None:
        half = BATCH_EVENTS // 2
        node = FakeNode({1: half, 2: half, 3: 1, 4: 2 * BATCH_EVENTS, 5: 1})
        async with BlockFeed(node, 1, 1, Head(5)) as feed:
            sizes = []
            while found := await feed.batch():
                sizes.append([len(block.events) for block in found])
        assert [size for batch in sizes for size in batch] == [half, half, 1, 2 * BATCH_EVENTS, 1]
        assert all(sum(batch) <= BATCH_EVENTS or len(batch) == 1 for batch in sizes)

    asyncio.run(scenario())


def test_leaving_cancels_what_is_in_flight() -> None:
    async def scenario() -> None:
        node = FakeNode()
        node.held.clear()
        async with BlockFeed(node, 1, 1, Head(50)) as feed:
            waiting = asyncio.create_task(feed.batch())
            while node.in_flight < IN_FLIGHT:
                await asyncio.sleep(0)
            waiting.cancel()
        assert node.in_flight == 0

    asyncio.run(scenario())
