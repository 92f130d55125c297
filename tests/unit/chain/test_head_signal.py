import asyncio

import pytest

from hookfarm.chain.block import Head
from hookfarm.chain.head_signal import HeadSignal
from hookfarm.errors import ChainUnavailable
from tests.support.chain_samples import header


def test_only_the_newest_of_many_heads_is_handed_out() -> None:
    async def scenario() -> Head | None:
        head_signal = HeadSignal(lambda _: None)
        for number in (1, 2, 3):
            head_signal.set(Head(number))
        return await head_signal.wait(1)

    assert asyncio.run(scenario()) == Head(3)


def test_a_head_is_handed_out_once() -> None:
    async def scenario() -> Head | None:
        head_signal = HeadSignal(lambda _: None)
        head_signal.set(Head(1))
        await head_signal.wait(1)
        return await head_signal.wait(0)

    assert asyncio.run(scenario()) is None


def test_a_waiter_is_woken_by_the_ring() -> None:
    async def scenario() -> Head | None:
        head_signal = HeadSignal(lambda _: None)
        waiter = asyncio.create_task(head_signal.wait(30))
        await asyncio.sleep(0)
        head_signal.set(Head(1))
        return await waiter

    assert asyncio.run(scenario()) == Head(1)


def test_every_ring_is_told_at_once() -> None:
    async def scenario() -> list[Head]:
        told: list[Head] = []
        head_signal = HeadSignal(told.append)
        head_signal.set(Head(1))
        head_signal.set(Head(1))
        return told

    assert asyncio.run(scenario()) == [Head(1), Head(1)]


def test_a_lost_connection_ends_the_waiting_with_its_first_reason() -> None:
    async def scenario() -> None:
        head_signal = HeadSignal(lambda _: None)
        head_signal.fail(ChainUnavailable("the first"))
        head_signal.fail(ChainUnavailable("the second"))
        assert head_signal.failed
        for _ in range(2):
            with pytest.raises(ChainUnavailable, match="the first"):
                await head_signal.wait(1)

    asyncio.run(scenario())


def test_the_pace_is_taken_from_the_timestamps() -> None:
    async def scenario() -> float | None:
        head_signal = HeadSignal(lambda _: None)
        for number in (5, 6, 7):
            head_signal.set(Head(number, timestamp=header(number).timestamp))
        return head_signal.pace.block_seconds

    assert asyncio.run(scenario()) == 1
