"""Signal of a new head. Only the newest head is kept; requests fetch the blocks between."""

import asyncio
from collections.abc import Callable

from hookfarm.chain.block import Head
from hookfarm.chain.timing import Pace
from hookfarm.errors import ChainUnavailable

OnHead = Callable[[Head], None]


class HeadSignal:
    """Passes the newest head from a connection to one ingestor, which waits for it."""

    def __init__(self, on_head: OnHead) -> None:
        self.pace = Pace()
        self.newest: Head | None = None
        self._on_head = on_head
        self._woken = asyncio.Event()
        self._failure: ChainUnavailable | None = None

    def set(self, head: Head) -> None:
        if head.timestamp is not None:
            self.pace.observe(head.number, head.timestamp)
        self.newest = head
        self._woken.set()
        self._on_head(head)

    def fail(self, error: ChainUnavailable) -> None:
        """Make `wait` raise `error` from now on, because the connection is closed. The first error is kept."""
        self._failure = self._failure or error
        self._woken.set()

    @property
    def failed(self) -> bool:
        return self._failure is not None

    async def wait(self, seconds: float) -> Head | None:
        """Return the newest head since the last call; None after `seconds` without one."""
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return None
        if self._failure is not None:
            raise self._failure
        self._woken.clear()
        return self.newest
