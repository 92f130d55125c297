import asyncio

import pytest

from hookfarm.chain.block import Head
from hookfarm.chain.head_signal import Doorbell
from hookfarm.errors import ChainUnavailable
from tests.unit.chain.samples import header


def test_only_the_newest_of_many_heads_is_handed_out() -> None:
    async def scenario() -> Head | None:
        doorbell = Doorbell(lambda _: None)
        for number in (1, 2, 3):
            doorbell.ring(Head(number))
        return await doorbell.wait(1)

    assert asyncio.run(scenario()) == Head(3)


def test_a_head_is_handed_out_once() -> None:
    async def scenario() -> Head | None:
        doorbell = Doorbell(lambda _: None)
        doorbell.ring(Head(1))
        await doorbell.wait(1)
        return await doorbell.wait(0)

    assert asyncio.run(scenario()) is None


def test_a_waiter_is_woken_by_the_ring() -> None:
    async def scenario() -> Head | None:
        doorbell = Doorbell(lambda _: None)
        waiter = asyncio.create_task(doorbell.wait(30))
        await asyncio.sleep(0)
        doorbell.ring(Head(1))
        return await waiter

    assert asyncio.run(scenario()) == Head(1)


def test_every_ring_is_told_at_once() -> None:
    async def scenario() -> list[Head]:
        told: list[Head] = []
        doorbell = Doorbell(told.append)
        doorbell.ring(Head(1))
        doorbell.ring(Head(1))
        return told

    assert asyncio.run(scenario()) == [Head(1), Head(1)]


def test_a_lost_connection_ends_the_waiting_with_its_first_reason() -> None:
    async def scenario() -> None:
        doorbell = Doorbell(lambda _: None)
        doorbell.fail(ChainUnavailable("the first"))
        doorbell.fail(ChainUnavailable("the second"))
        assert doorbell.failed
        for _ in range(2):
            with pytest.raises(ChainUnavailable, match="the first"):
                await doorbell.wait(1)

    asyncio.run(scenario())


def test_the_pace_is_taken_from_the_headers() -> None:
    async def scenario() -> float | None:
        doorbell = Doorbell(lambda _: None)
        for number in (5, 6, 7):
            doorbell.ring(Head(number, header(number)))
        return doorbell.pace.block_seconds

    assert asyncio.run(scenario()) == 1
