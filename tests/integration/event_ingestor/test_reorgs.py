"""Reorgs: what is orphaned is taken back, once, newest first, before the new branch."""

import asyncio

import pytest

from hookfarm import event_stream
from hookfarm.devchain.embedded import RunningDevchain, running_devchain
from hookfarm.devchain.transaction import Log
from hookfarm.event_ingestor import telemetry
from hookfarm.store.clients import async_client
from tests.support.ingestor import CHAIN, EVENTS, TRANSPORTS, Published, canonical, running_ingestor, url_of
from tests.support.waiting import eventually

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


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_branch_no_longer_than_the_old_one_is_followed_before_its_next_block(
    devchain: RunningDevchain, redis_url: str, published: Published, transport: str
) -> None:
    with running_ingestor(CHAIN, url_of(devchain, transport), redis_url, from_block=1):
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


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_chain_that_returns_to_the_branch_it_left_emits_its_events_again(
    devchain: RunningDevchain, redis_url: str, published: Published, transport: str
) -> None:
    with running_ingestor(CHAIN, url_of(devchain, transport), redis_url, from_block=1):
        devchain.mine(10)
        published.wait_for(devchain)
        left = devchain.head().hash
        for _ in range(2):
            other = devchain.reorg(3, length=4).added[-1].hash
            published.wait_for(devchain)
            devchain.switch_to(left)
            published.wait_for(devchain)
            devchain.switch_to(other)
            published.wait_for(devchain)
            left = other
    assert published.events() == canonical(devchain)
    assert published.removed() == 2 * (3 + 4 + 3) * EVENTS


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("method", ["eth_getLogs", "eth_getBlockByNumber"])
def test_reorgs_during_a_catch_up_end_on_the_canonical_branch(
    devchain: RunningDevchain, redis_url: str, published: Published, transport: str, back: bool, method: str
) -> None:
    url = url_of(devchain, transport)
    with running_ingestor(CHAIN, url, redis_url, from_block=1):
        devchain.mine(5)
        published.wait_for(devchain)
    devchain.mine(300)
    with running_ingestor(CHAIN, url, redis_url):
        for depth in (250, 40, 3, 1):
            devchain.set_fault("reorg_on_call", 1, method=method, depth=depth, more=1)
        if back:
            devchain.set_fault("return_on_call", 2, method=method)
        devchain.mine(1)
        eventually(lambda: devchain.stats()["faults"] == [], what="the reorgs having happened")
        published.wait_for(devchain)
    assert published.events() == canonical(devchain)


def test_a_withdrawal_cut_short_by_a_crash_is_finished_by_the_next_life(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    with running_ingestor(CHAIN, devchain.ws_url, redis_url, from_block=1):
        devchain.mine(20)
        published.wait_for(devchain)
    devchain.reorg(10, length=12)

    async def one_step() -> None:
        async with async_client(redis_url) as client:
            [entries] = await event_stream.removal_entries(client, CHAIN, [20])
            newest, below = await event_stream.read_remembered(client, CHAIN, [20, 19])
            assert newest
            assert below
            assert await event_stream.rollback(client, CHAIN, newest.point, below.point, entries or [])

    asyncio.run(one_step())
    with running_ingestor(CHAIN, devchain.ws_url, redis_url):
        published.wait_for(devchain)
    assert published.events() == canonical(devchain)
    assert published.removed() == 10 * EVENTS


def test_a_reorg_with_thousands_of_events_is_taken_back_in_steps(redis_url: str, published: Published) -> None:
    with running_devchain(chain_id=CHAIN, logs_per_block=700) as devchain:
        with running_ingestor(CHAIN, devchain.ws_url, redis_url, from_block=1):
            devchain.mine(8)
            published.wait_for(devchain)
            devchain.reorg(8, length=9)
            published.wait_for(devchain)
        assert published.events() == canonical(devchain)
        assert published.removed() == 8 * 700


def test_a_reorg_deeper_than_what_is_remembered_goes_back_to_the_deepest_known_block(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    kept = event_stream.KEPT_BLOCKS
    with running_ingestor(CHAIN, devchain.ws_url, redis_url, from_block=1) as ingestor:
        devchain.mine(kept + 40)
        published.wait_for(devchain)
        devchain.reorg(kept + 20, length=kept + 21)
        published.wait_for(devchain)
        eventually(lambda: ingestor.up, what="the ingestor being up")
        eventually(lambda: ingestor.slot.counter(telemetry.DEEP_REORGS) == 1, what="the reorg being counted")
    above = 40
    assert published.removed() == kept * EVENTS
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
