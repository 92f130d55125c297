"""A child on an asyncio loop: when it stops, how it shows that it lives, and how a task of it ends."""

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from hookfarm.farm import async_child
from hookfarm.farm.async_child import heartbeat, run_until_stopped, stop_event
from hookfarm.farm.child import Child
from hookfarm.farm.scoreboard import Scoreboard


@pytest.fixture
def child() -> Iterator[Child]:
    """With its SIGTERM handler installed in this process."""
    previous = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    one = Child("service", 0, Scoreboard({"service": 1}))
    one.handle_signals()
    yield one
    for number, handler in previous.items():
        signal.signal(number, handler)
    one.close()


def test_a_term_sets_the_stop_event(child: Child) -> None:
    async def run() -> None:
        with stop_event(child) as stop:
            assert not stop.is_set()
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.wait_for(stop.wait(), 10)

    asyncio.run(run())


def test_the_heartbeat_is_renewed_until_the_end(child: Child) -> None:
    async def run() -> None:
        child.slot.heartbeat(0)
        async with heartbeat(child, 0.001, 60.0):
            while child.slot.seconds_late() > 0:
                await asyncio.sleep(0)
            child.slot.heartbeat(0)
            while child.slot.seconds_late() > 0:
                await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())


def test_a_task_that_ends_by_itself_is_not_cancelled() -> None:
    async def run() -> None:
        work = asyncio.create_task(asyncio.sleep(0, "done"))
        await run_until_stopped(asyncio.Event(), work)
        assert work.result() == "done"

    asyncio.run(run())


def test_a_task_whose_cancellation_gets_lost_is_cancelled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(async_child, "CANCEL_AGAIN_SECONDS", 0.01)
    lost = 0

    async def stubborn() -> None:
        nonlocal lost
        while lost < 3:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                lost += 1
        await asyncio.sleep(60)

    async def run() -> None:
        stop = asyncio.Event()
        work = asyncio.create_task(stubborn())
        await asyncio.sleep(0)
        stop.set()
        await run_until_stopped(stop, work)
        assert (lost, work.cancelled()) == (3, True)

    asyncio.run(run())
