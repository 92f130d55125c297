"""Monthly budgets of nodes: the units used in a calendar month (UTC), counted in Redis for all hosts together.

Processes add what they used once a second. So a kill leaves up to a second of calls uncounted, and each process
exceeds the budget by a second of calls at most.
"""

import asyncio
import contextlib
import hashlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hookfarm import timestamps
from hookfarm.store import keys

if TYPE_CHECKING:
    import redis.asyncio

    from hookfarm.store.clients import RetryingClient

SYNC_SECONDS = 1.0
CLOSE_SECONDS = 1.0
"""Max time of the last sync at the end of a process."""
KEPT_SECONDS = 62 * 86_400


class Budget:
    """Units used by one node in the current month; `limit` None = no limit, and nothing is counted.

    A node whose budget is used up rests from the first refused call to the turn of the month.
    """

    def __init__(self, url: str, limit: int | None, clock: Callable[[], float] = time.time) -> None:
        """`clock` returns Unix time."""
        self.limit = limit
        self.on_used: Callable[[int], None] = lambda _units: None
        """Called with the units used in this month, by all hosts."""
        self._digest = hashlib.sha256(url.encode()).hexdigest()[:16]
        self._clock = clock
        self._month = _month(clock())
        self._used = 0
        self._unsaved = 0
        self._rests = False

    def spend(self, units: int) -> bool:
        """Count the units of a request; return False, and let the node rest, if the budget is used up."""
        if self.limit is None:
            return True
        self._turn()
        self._rests = self._used + self._unsaved >= self.limit
        if not self._rests:
            self._unsaved += units
        return not self._rests

    @property
    def problem(self) -> str:
        """The reason why the node rests."""
        until = timestamps.format_whole_seconds(int(_next_month(self._clock())))
        return f"monthly budget of {self.limit:,} units used up until {until}"

    def rest_seconds(self) -> float:
        """Return the seconds until the turn of the month for a node that rests, else 0."""
        self._turn()
        return _next_month(self._clock()) - self._clock() if self._rests else 0.0

    async def sync(self, redis: "RetryingClient", *, force: bool = False) -> None:
        """Add the units to those in Redis and read the sum of all hosts; without new units only if `force`."""
        if self.limit is None or not (self._unsaved or force):
            return
        month, units = self._month, self._unsaved
        used = await redis.call(_add, keys.node_units(month, self._digest), units)
        if month == self._month:
            self._used, self._unsaved = used, self._unsaved - units
            self.on_used(used)

    def _turn(self) -> None:
        """Begin a new month if the present one is over."""
        month = _month(self._clock())
        if month != self._month:
            self._month, self._used, self._unsaved, self._rests = month, 0, 0, False
            self.on_used(0)


@contextlib.asynccontextmanager
async def kept_in_redis(redis: "RetryingClient", budgets: Sequence[Budget]) -> AsyncIterator[None]:
    """Read the budgets from Redis, and keep them there during the context."""
    limited = [budget for budget in budgets if budget.limit is not None]
    if not limited:
        yield
        return
    for budget in limited:
        await budget.sync(redis, force=True)
    task = asyncio.create_task(_keep(redis, limited))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await _sync_all(redis, limited)


async def _keep(redis: "RetryingClient", budgets: Sequence[Budget]) -> None:
    while True:
        await asyncio.sleep(SYNC_SECONDS)
        await _sync_all(redis, budgets)


async def _sync_all(redis: "RetryingClient", budgets: Sequence[Budget]) -> None:
    for budget in budgets:
        await budget.sync(redis)


async def _add(client: "redis.asyncio.Redis", key: str, units: int) -> int:
    async with client.pipeline(transaction=True) as pipe:
        pipe.incrby(key, units)
        pipe.expire(key, KEPT_SECONDS)
        return int((await pipe.execute())[0])


def _month(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m")


def _next_month(at: float) -> float:
    """Return the Unix time at which the next month begins."""
    now = datetime.fromtimestamp(at, UTC)
    years, month = divmod(now.month, 12)
    return datetime(now.year + years, month + 1, 1, tzinfo=UTC).timestamp()
