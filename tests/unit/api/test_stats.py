"""The broadcast of snapshots: one read a second for all clients, none without a client, and heartbeats."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import orjson
import redis

from hookfarm.api.stats import HEARTBEAT, HELLO, SnapshotBroadcast
from hookfarm.store import keys


class Farm:
    """A farm whose snapshots are read; each has the number of looks so far."""

    def __init__(self) -> None:
        self.looks = 0
        self.error: redis.RedisError | None = None
        self.gate: asyncio.Event | None = None

    async def read(self) -> Any:
        self.looks += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        status = {"timestamp": f"2026-01-01T00:00:{self.looks:02d}Z", "delivered": 10 * self.looks}
        return {"number": self.looks, "services": {keys.WEBHOOK_DELIVERY: status}, "delivery": {}}


def event(frame: bytes) -> tuple[str, Any]:
    first, second = frame.decode().strip().split("\n")
    return first.removeprefix("event: "), orjson.loads(second.removeprefix("data: "))


async def several(frames: AsyncIterator[bytes], count: int) -> list[bytes]:
    return [await anext(frames) for _ in range(count)]


def played(scene: Callable[[Farm, SnapshotBroadcast], Awaitable[None]]) -> None:
    async def play() -> None:
        farm = Farm()
        await asyncio.wait_for(scene(farm, SnapshotBroadcast(farm.read, lambda: False)), 30)

    asyncio.run(play())


def test_a_watcher_is_greeted_at_once_and_gets_a_snapshot_each_second() -> None:
    async def scene(_farm: Farm, watch: SnapshotBroadcast) -> None:
        async with aclosing(watch.frames()) as frames:
            assert await anext(frames) == HELLO
            found = [event(frame) for frame in await several(frames, 3)]
        assert [name for name, _ in found] == ["stats"] * 3
        assert [data["number"] for _, data in found] == [1, 2, 3]
        assert [data["delivery"]["per_second"] for _, data in found] == [None, 10.0, 10.0]

    played(scene)


def test_all_clients_share_one_read_a_second() -> None:
    async def scene(farm: Farm, watch: SnapshotBroadcast) -> None:
        async def see() -> list[bytes]:
            async with aclosing(watch.frames()) as frames:
                return await several(frames, 4)

        began = asyncio.get_running_loop().time()
        seen = await asyncio.gather(*(see() for _ in range(50)))
        assert 3 <= farm.looks <= asyncio.get_running_loop().time() - began + 2
        assert len({frame for frames in seen for frame in frames}) <= farm.looks + 1

    played(scene)


def test_nothing_is_read_without_a_client() -> None:
    async def scene(_farm: Farm, watch: SnapshotBroadcast) -> None:
        others = asyncio.all_tasks()
        async with aclosing(watch.frames()) as frames:
            await several(frames, 2)
            assert watch.clients == 1
        assert watch.clients == 0
        assert asyncio.all_tasks() == others, "a task that reads is left"

    played(scene)


def test_a_client_that_asks_once_shares_it_too() -> None:
    async def scene(farm: Farm, watch: SnapshotBroadcast) -> None:
        began = asyncio.get_running_loop().time()
        await asyncio.gather(*(watch.latest() for _ in range(20)))
        assert 1 <= farm.looks <= asyncio.get_running_loop().time() - began + 2

    played(scene)


def test_without_redis_the_stream_says_so_and_goes_on_when_it_is_back() -> None:
    async def scene(farm: Farm, watch: SnapshotBroadcast) -> None:
        farm.error = redis.ConnectionError("gone")
        async with aclosing(watch.frames()) as frames:
            await anext(frames)
            name, data = event(await anext(frames))
            assert (name, data) == ("unavailable", {"reason": "Redis is unavailable."})
            farm.error = None
            assert event(await anext(frames))[0] == "stats"

    played(scene)


def test_while_redis_takes_its_time_there_are_heartbeats() -> None:
    async def scene(farm: Farm, watch: SnapshotBroadcast) -> None:
        farm.gate = asyncio.Event()
        async with aclosing(watch.frames()) as frames:
            assert await several(frames, 3) == [HELLO, HEARTBEAT, HEARTBEAT]
            farm.gate.set()
            assert event(await anext(frames))[0] == "stats"

    played(scene)


def test_one_that_leaves_while_it_reads_for_all_leaves_the_others_their_snapshot() -> None:
    async def scene(farm: Farm, watch: SnapshotBroadcast) -> None:
        farm.gate = asyncio.Event()
        async with aclosing(watch.frames()) as other:
            async with aclosing(watch.frames()) as first:
                await anext(first)
                reading = asyncio.ensure_future(anext(first))
                await anext(other)
                waiting = asyncio.ensure_future(anext(other))
                await asyncio.sleep(0)
                reading.cancel()
                await asyncio.wait({reading})
            farm.gate.set()
            frame = await waiting
            assert frame == HEARTBEAT or event(frame)[0] == "stats"
            assert watch.clients == 1

    played(scene)


def test_it_ends_when_the_process_is_asked_to_stop() -> None:
    async def scene() -> None:
        farm, stopping = Farm(), False
        watch = SnapshotBroadcast(farm.read, lambda: stopping)
        frames = watch.frames()
        await several(frames, 2)
        stopping = True
        assert [frame async for frame in frames] == []
        assert watch.clients == 0

    asyncio.run(asyncio.wait_for(scene(), 30))
