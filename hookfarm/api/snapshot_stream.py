"""The stream of snapshots for clients of `/v1/stats/stream`: one read a second, shared by all.

Seconds are counted by the loop's clock. The first client in a second reads the snapshot; the others get the same
bytes. Without Redis the stream goes on, with `unavailable` events.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import orjson
import redis

from hookfarm import logs
from hookfarm.status import Rates, Snapshot
from hookfarm.store import keys

INTERVAL_SECONDS = 1.0
MAX_CLIENTS = 100
HELLO = b": hookfarm stats\nretry: 2000\n\n"
"""Sent at once, so that a client knows that it is connected."""
HEARTBEAT = b": waiting for Redis\n\n"

log = logs.get("api")


class SnapshotBroadcast:
    """Reads a snapshot a second while there are clients, for all clients of an API process.

    `read` returns a snapshot; `is_stopping` ends all streams.
    """

    def __init__(self, read: Callable[[], Awaitable[Snapshot]], is_stopping: Callable[[], bool]) -> None:
        self._read = read
        self._is_stopping = is_stopping
        self._rates = Rates()
        self._lock = asyncio.Lock()
        self._second = -1
        self._snapshot: Snapshot | None = None
        self._frame = b""
        self._is_failing = False
        self.clients = 0

    @property
    def is_full(self) -> bool:
        return self.clients >= MAX_CLIENTS

    async def latest(self) -> Snapshot:
        """Return the snapshot of this second. Raises RedisError."""
        async with self._lock:
            second = self._now()
            if second != self._second or self._snapshot is None:
                snapshot = await self._read()
                self._rates.observe(snapshot["services"][keys.WEBHOOK_DELIVERY])
                snapshot["delivery"]["per_second"] = self._rates.per_second
                self._snapshot, self._frame, self._second = snapshot, _event("stats", snapshot), second
            return self._snapshot

    async def frames(self) -> AsyncGenerator[bytes, None]:
        """Yield server-sent events until the process stops: `stats` each second, `unavailable` if Redis fails."""
        self.clients += 1
        try:
            yield HELLO
            while not self._is_stopping():
                async for frame in self._next():
                    yield frame
                await asyncio.sleep(self._until_next_second())
        finally:
            self.clients -= 1

    async def _next(self) -> AsyncGenerator[bytes, None]:
        """Yield this second's frame, and before it a heartbeat for each second that it takes."""
        reading = asyncio.create_task(self._latest_frame())
        try:
            while not reading.done():
                await asyncio.wait({reading}, timeout=INTERVAL_SECONDS)
                yield reading.result() if reading.done() else HEARTBEAT
        finally:
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reading

    async def _latest_frame(self) -> bytes:
        try:
            await self.latest()
        except redis.RedisError as error:
            if not self._is_failing:
                log.warning("stats unavailable", error=str(error))
            self._is_failing = True
            return _event("unavailable", {"reason": "Redis does not answer, or not as it should."})
        self._is_failing = False
        return self._frame

    def _now(self) -> int:
        return int(asyncio.get_running_loop().time() / INTERVAL_SECONDS)

    def _until_next_second(self) -> float:
        return (self._now() + 1) * INTERVAL_SECONDS - asyncio.get_running_loop().time()


def _event(name: str, data: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps(data))
