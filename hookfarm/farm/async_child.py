"""Helpers for a child that runs an asyncio loop: stop event, heartbeat, cancellation of a task."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from hookfarm.farm.child import Child
from hookfarm.farm.scoreboard import Slot

CANCEL_AGAIN_SECONDS = 0.8
"""Before Python 3.12, `asyncio.wait_for` in redis-py may swallow a cancellation."""


@contextlib.contextmanager
def stop_event(child: Child) -> Iterator[asyncio.Event]:
    """Yield an event that is set once the child is to stop."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(child.stop_fd, stop.set)
    try:
        yield stop
    finally:
        loop.remove_reader(child.stop_fd)


@contextlib.asynccontextmanager
async def heartbeat(child: Child, every_seconds: float, within_seconds: float) -> AsyncIterator[None]:
    """Renew the child's heartbeat inside the context; it is late if the loop blocks for `within_seconds`."""
    task = asyncio.create_task(_beat(child.slots, every_seconds, within_seconds))
    try:
        yield
    finally:
        task.cancel()


async def _beat(slots: Sequence[Slot], every_seconds: float, within_seconds: float) -> None:
    while True:
        for slot in slots:
            slot.heartbeat(within_seconds)
        await asyncio.sleep(every_seconds)


async def run_until_stopped(stop: asyncio.Event, *works: "asyncio.Task[Any]") -> None:
    """Wait until one of `works` is done, or `stop` is set; then cancel the others repeatedly until they end."""
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([*works, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    while left := [work for work in works if not work.done()]:
        for work in left:
            work.cancel()
        await asyncio.wait(left, timeout=CANCEL_AGAIN_SECONDS)
