"""Reorgs: what is orphaned is taken back, once, newest first, before the new branch."""

import pytest

from hookfarm import event_stream
from hookfarm.devchain.library import RunningDevchain
from hookfarm.devchain.transaction import Log
from tests.support.ingestor import CHAIN, EVENTS, TRANSPORTS, Published, canonical, running_ingestor, url_of

SOME_LOGS = [Log(b"\x0a" * 20, (b"\x0b" * 32,), b"\x0c"), Log(b"\x0d" * 20, (), b"")]


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(("depth", "length"), [(1, 1), (1, 2), (3, 3), (3, 5), (5, 5), (30, 40)])
def test_a_reorg_is_followed_on_the_canonical_branch(
    devchain: RunningDevchain, redis_url: str, published: Published, transport: str, depth: int, length: int
) -> None:
    with running_ingestor(CHAIN, url_of(devchain, transport), redis_url, from_block=1):
        devchain.mine(32)
        published.wait_for(devchain)
        devchain.reorg(depth, length=length, logs=[SOME_LOGS] * length)
        devchain.mine(depth)
        published.wait_for(devchain)
    assert published.events() == canonical(devchain)
    assert published.removed() == depth * EVENTS


def test_a_branch_no_longer_than_the_old_one_is_followed_before_its_next_block(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    with running_ingestor(CHAIN, devchain.ws_url, redis_url, from_block=1):
        devchain.mine(10)
        published.wait_for(devchain)
        devchain.reorg(4, logs=[SOME_LOGS] * 4)
        published.wait_for(devchain)
    assert published.events() == canonical(devchain)


def test_reorgs_back_and_forth_and_while_down_end_on_the_canonical_branch(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    with running_ingestor(CHAIN, devchain.ws_url, redis_url, from_block=1):
        devchain.mine(10)
        for depth in (1, 4, 2, 6, 1):
            devchain.reorg(depth, length=depth + 1)
        published.wait_for(devchain)
    devchain.reorg(8, length=20)
    with running_ingestor(CHAIN, devchain.ws_url, redis_url):
        published.wait_for(devchain)
    assert published.events() == canonical(devchain)


def test_a_reorg_deeper_than_what_is_remembered_goes_back_to_the_deepest_known_block(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    kept = event_stream.KEPT_BLOCKS
    with running_ingestor(CHAIN, devchain.ws_url, redis_url, from_block=1) as ingestor:
        devchain.mine(kept + 40)
        published.wait_for(devchain)
        devchain.reorg(kept + 20, length=kept + 21)
        published.wait_for(devchain)
        assert ingestor.up
    above = 40
    assert [event for event in published.events() if event["block_number"] > above] == (
        canonical(devchain, above=above)
    )


def test_a_reorg_of_the_very_first_block_seen_is_followed(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    devchain.mine(5)
    with running_ingestor(CHAIN, devchain.ws_url, redis_url):
        devchain.reorg(3, length=4)
        published.wait_for(devchain)
    assert published.events() == canonical(devchain, above=4)
