import asyncio

import pytest

from hookfarm.chain.block import Head
from hookfarm.chain.block_feed import BATCH_BLOCKS, BATCH_EVENTS, IN_FLIGHT, NEAR_BLOCKS, BlockFeed
from hookfarm.chain.prover import Prover
from hookfarm.errors import ChainUnavailable
from tests.support.chain_samples import full_block
from tests.support.fake_node import FakeNode


def feed_of(node: FakeNode, first: int, head: Head) -> BlockFeed:
    return BlockFeed(node, Prover(1, "bloom"), first, head)


async def all_batches(feed: BlockFeed) -> list[list[int]]:
    batches = []
    while found := await feed.batch():
        batches.append([block.header.number for block in found])
    return batches


def test_every_block_comes_once_and_in_order() -> None:
    async def scenario() -> None:
        async with feed_of(FakeNode(600, 1), 10, Head(599)) as feed:
            batches = await all_batches(feed)
        assert [number for batch in batches for number in batch] == list(range(10, 600))
        assert max(map(len, batches)) <= BATCH_BLOCKS

    asyncio.run(scenario())


def test_several_pieces_are_fetched_at_once_but_not_more_than_the_limit() -> None:
    async def scenario() -> None:
        node = FakeNode(600, 1)
        async with feed_of(node, 1, Head(600)) as feed:
            await all_batches(feed)
        assert node.most_in_flight == IN_FLIGHT

    asyncio.run(scenario())


def test_far_behind_the_head_ranges_are_asked_for_and_near_it_blocks_by_hash() -> None:
    async def scenario() -> None:
        node = FakeNode(200, 1)
        async with feed_of(node, 1, Head(200)) as feed:
            await all_batches(feed)
        asked = [call for calls in node.requests for call in calls if call[0] == "eth_getLogs"]
        assert sum("blockHash" in parameters[0] for _, parameters in asked) == NEAR_BLOCKS
        ranges = [parameters[0] for _, parameters in asked if "fromBlock" in parameters[0]]
        assert max(int(each["toBlock"], 16) for each in ranges) == 200 - NEAR_BLOCKS

    asyncio.run(scenario())


def test_the_next_block_is_one_request_where_its_hash_came_with_the_head() -> None:
    async def scenario() -> None:
        node = FakeNode(5, 1)
        async with feed_of(node, 5, Head(5, node.header_of(5).block_hash)) as feed:
            assert await all_batches(feed) == [[5]]
        assert len(node.requests) == 1

    asyncio.run(scenario())


def test_of_several_blocks_all_headers_are_asked_for_in_one_request() -> None:
    async def scenario() -> None:
        node = FakeNode(5, 1)
        async with feed_of(node, 3, Head(4, node.header_of(4).block_hash)) as feed:
            assert await all_batches(feed) == [[3, 4]]
        assert [len(calls) for calls in node.requests] == [2, 2]

    asyncio.run(scenario())


def test_a_head_behind_the_first_block_gives_nothing() -> None:
    async def scenario() -> None:
        async with feed_of(FakeNode(), 5, Head(4)) as feed:
            assert await feed.batch() == []

    asyncio.run(scenario())


def test_the_blocks_before_a_piece_that_fails_are_given_out_first() -> None:
    async def scenario() -> None:
        node = FakeNode()
        node.failing = {12}
        given: list[int] = []
        async with feed_of(node, 1, Head(24)) as feed:
            while len(given) < 8:
                given += [block.header.number for block in await feed.batch()]
            with pytest.raises(ChainUnavailable, match="block 12 not found"):
                await feed.batch()
        assert given == list(range(1, 9))

    asyncio.run(scenario())


def test_a_batch_ends_before_it_has_too_many_events() -> None:
    async def scenario() -> None:
        half = BATCH_EVENTS // 2
        node = FakeNode(5, 0)
        for number, logs in {1: half, 2: half, 3: 1, 4: 2 * BATCH_EVENTS, 5: 1}.items():
            node.chain[number] = full_block(number, logs)
        async with feed_of(node, 1, Head(5)) as feed:
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
        async with feed_of(node, 1, Head(50)) as feed:
            waiting = asyncio.create_task(feed.batch())
            while node.in_flight < IN_FLIGHT:
                await asyncio.sleep(0)
            waiting.cancel()
        assert node.in_flight == 0

    asyncio.run(scenario())
