"""The safe and the finalized block of a chain that is ahead of what has been published."""

import asyncio
from collections.abc import Callable

from hookfarm import event_stream, logs
from hookfarm.chain.node import connect
from hookfarm.chain.node_pool import NodePool
from hookfarm.chain.timing import NodeTimeouts
from hookfarm.devchain.embedded import RunningDevchain, running_devchain
from hookfarm.event_ingestor.ingestor import FinalityHeadsPublisher
from hookfarm.event_stream import RetryingChainStream, StreamBlock
from hookfarm.store.clients import RetryingClient, async_client
from hookfarm.store.keys import EVENT_INGESTOR
from tests.support.ingestor import CHAIN, Published

BLOCKS = 5


def publish(devchain: RunningDevchain, redis_url: str) -> None:
    """Everything that the chain has, empty."""
    blocks = [devchain.block(number) for number in range(1, BLOCKS + 1)]
    rows = [StreamBlock(block.number, block.hash, block.parent_hash) for block in blocks if block]

    async def run() -> None:
        async with async_client(redis_url) as client:
            await event_stream.publish(client, CHAIN, None, rows)

    asyncio.run(run())


def publish_heads(
    devchain: RunningDevchain, redis_url: str, meanwhile: Callable[[], object] = lambda: None
) -> None:
    """As an ingestor does that has published BLOCKS; `meanwhile` is after the node was asked for its tags."""

    async def run() -> None:
        [profile] = NodePool([devchain.ws_url]).all
        node = await connect(profile, NodeTimeouts(tags_seconds=0.0), lambda _: None, lambda: None)
        try:
            node.tags.record(await node.request_all(node.tags.due()), node.head_number)
            meanwhile()
            async with async_client(redis_url) as client:
                stream = RetryingChainStream(RetryingClient(client, lambda _error: None), CHAIN)
                await FinalityHeadsPublisher(stream, logs.get(EVENT_INGESTOR)).publish(node, BLOCKS)
        finally:
            await node.close()

    asyncio.run(run())


def test_a_tag_beyond_the_checkpoint_means_the_checkpoint(redis_url: str, published: Published) -> None:
    with running_devchain(chain_id=CHAIN, safe_distance=2, finalized_distance=6) as devchain:
        devchain.mine(BLOCKS)
        publish(devchain, redis_url)
        devchain.mine(5)
        publish_heads(devchain, redis_url)
        assert published.heads() == {"latest": 5, "safe": 5, "finalized": 4}


def test_a_tag_beyond_a_checkpoint_that_was_orphaned_says_nothing_of_it(
    redis_url: str, published: Published
) -> None:
    with running_devchain(chain_id=CHAIN, safe_distance=2, finalized_distance=8) as devchain:
        devchain.mine(BLOCKS)
        publish(devchain, redis_url)
        devchain.reorg(3, length=8)
        publish_heads(devchain, redis_url)
        assert published.heads() == {"latest": 5, "finalized": 2}


def test_a_tag_that_a_reorg_lowered_meanwhile_counts_as_it_is_now(redis_url: str, published: Published) -> None:
    with running_devchain(chain_id=CHAIN, safe_distance=2, finalized_distance=8) as devchain:
        devchain.mine(BLOCKS)
        publish(devchain, redis_url)
        head = devchain.head().hash
        devchain.reorg(3, length=8)
        publish_heads(devchain, redis_url, meanwhile=lambda: devchain.switch_to(head))
        assert published.heads() == {"latest": 5, "safe": 3, "finalized": 2}
