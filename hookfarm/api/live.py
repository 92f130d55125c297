"""The live picture for all who watch it: one read a second, shared, and none while nobody does.

Seconds are counted by the loop's clock, and whoever comes first in one takes its picture; the others get the same
bytes. Without Redis the stream goes on, and says so.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import orjson
import redis

from hookfarm import logs
from hookfarm.status import Picture, Rates
from hookfarm.store import keys

EVERY_SECONDS = 1.0
MOST_WATCHERS = 100
HELLO = b": hookfarm stats\nretry: 2000\n\n"
"""Sent at once, so that a client knows that it is connected."""
HEARTBEAT = b": waiting for Redis\n\n"

log = logs.get("api")


class Watch:
    """One per API. `take` reads a picture; `stopping` says that the process is to end."""

    def __init__(self, take: Callable[[], Awaitable[Picture]], stopping: Callable[[], bool]) -> None:
        self._take = take
        self._stopping = stopping
        self._rates = Rates()
        self._lock = asyncio.Lock()
        self._second = -1
        self._picture: Picture = {}
        self._frame = b""
        self._failing = ""
        self.watchers = 0

    @property
    def full(self) -> bool:
        return self.watchers >= MOST_WATCHERS

    async def look(self) -> Picture:
        """The picture of this second; redis-py's errors pass through."""
        async with self._lock:
            second = self._now()
            if second != self._second:
                picture = await self._take()
                self._rates.note(picture["services"][keys.WEBHOOK_DELIVERY])
                picture["delivery"]["per_second"] = self._rates.per_second
                self._picture, self._frame, self._second = picture, _event("stats", picture), second
            return self._picture

    async def frames(self) -> AsyncGenerator[bytes, None]:
        """Server-sent events until the process stops: `stats`, each second, or `trouble` where Redis fails."""
        self.watchers += 1
        try:
            yield HELLO
            while not self._stopping():
                async for frame in self._next():
                    yield frame
                await asyncio.sleep(self._until_next_second())
        finally:
            self.watchers -= 1

    async def _next(self) -> AsyncGenerator[bytes, None]:
        """This second's frame, and before it a heartbeat for each second that it takes."""
        looking = asyncio.create_task(self._looked())
        try:
            while not looking.done():
                await asyncio.wait({looking}, timeout=EVERY_SECONDS)
                yield looking.result() if looking.done() else HEARTBEAT
        finally:
            looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await looking

    async def _looked(self) -> bytes:
        try:
            await self.look()
        except redis.RedisError as error:
            if not self._failing:
                log.warning("no picture", error=str(error))
            self._failing = str(error)
            return _event("trouble", {"reason": "Redis does not answer, or not as it should."})
        self._failing = ""
        return self._frame

    def _now(self) -> int:
        return int(asyncio.get_running_loop().time() / EVERY_SECONDS)

    def _until_next_second(self) -> float:
        return (self._now() + 1) * EVERY_SECONDS - asyncio.get_running_loop().time()


def _event(name: str, data: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps(data))
