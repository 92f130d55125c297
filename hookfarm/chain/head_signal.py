"""A node's heads: the signal of a new one, and the safe and finalized blocks.

Only the newest head is kept; requests fetch the blocks between.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from hookfarm.chain.block import Head, Header, parse_header
from hookfarm.chain.rpc import Call, Refused
from hookfarm.chain.timing import Pace
from hookfarm.errors import ChainUnavailable
from hookfarm.records import CONFIRMATION_TAGS as TAGS

OnHead = Callable[[Head], None]


class HeadSignal:
    """Signal from a connection to one ingestor, with the newest head."""

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


REFUSALS_BELIEVED = 3
"""Consecutive errors until a tag counts as unsupported. One error may be temporary, and a fixed number of
confirmations must not replace finality on a chain that has it."""
NOT_YET = "not found"
"""In geth's error for a tag without a block yet (-39001), and for a tag that the chain will never have."""
NOT_YET_BLOCKS = 256
"""Blocks by which the head advances without an answer until a tag counts as unsupported. The first finalized block
of Ethereum comes after 96."""
UNANSWERED_SECONDS = 60.0
"""Time until such a tag is requested again."""


class FinalityTags:
    """Schedules the calls for a node's safe and finalized block, and holds their results.

    `due` returns the calls to make, `record` takes their results, `drain` returns the new heads. `unanswered`
    holds the head at the first call of each tag without a block; it survives the node's connections.
    """

    def __init__(
        self,
        every_seconds: float,
        clock: Callable[[], float] = time.monotonic,
        unanswered: dict[str, int] | None = None,
    ) -> None:
        self._every_seconds = every_seconds
        self._clock = clock
        self._unanswered = {} if unanswered is None else unanswered
        self._next_at = float("-inf")
        self._paused_until = dict.fromkeys(TAGS, float("-inf"))
        self._asked: list[str] = []
        self._refusals: Counter[str] = Counter()
        self._news: dict[str, Header | None] = {}

    def due(self) -> list[Call]:
        """Return the calls to make; an empty list until they are due. Skips unsupported tags."""
        now = self._clock()
        if now < self._next_at:
            return []
        self._next_at = now + self._every_seconds
        self._asked = [
            tag for tag in TAGS if self._refusals[tag] < REFUSALS_BELIEVED and self._paused_until[tag] <= now
        ]
        return [("eth_getBlockByNumber", [tag, False]) for tag in self._asked]

    def record(self, answers: Sequence[Any], head: int) -> None:
        """Record the results of the calls that `due` returned; errors are Refused values. `head` is the node's."""
        for tag, answer in zip(self._asked, answers, strict=False):
            if isinstance(answer, Refused) and NOT_YET not in str(answer):
                self._refused(tag)
                continue
            self._refusals[tag] = 0
            if answer is None or isinstance(answer, Refused):
                self._not_yet(tag, head)
            else:
                self._unanswered.pop(tag, None)
                self._news[tag] = parse_header(answer)

    def _not_yet(self, tag: str, head: int) -> None:
        if head >= self._unanswered.setdefault(tag, head) + NOT_YET_BLOCKS:
            self._news[tag] = None
            self._paused_until[tag] = self._clock() + UNANSWERED_SECONDS

    def _refused(self, tag: str) -> None:
        self._refusals[tag] += 1
        if self._refusals[tag] < REFUSALS_BELIEVED:
            self._next_at = float("-inf")
        else:
            self._news[tag] = None

    def drain(self) -> dict[str, Header | None]:
        """Return the heads recorded since the last call by tag; None = the tag is unsupported."""
        news, self._news = self._news, {}
        return news
