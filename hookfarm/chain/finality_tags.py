"""The blocks that a chain calls safe and finalized, asked for along with other calls, and not too often."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from hookfarm.chain.block import Header, parse_header
from hookfarm.chain.rpc import Call, Refused

TAGS = ("safe", "finalized")
REFUSALS_BELIEVED = 3
"""In a row, until a node is taken not to know a tag: any error may be a passing one, and no number of blocks may
stand for finality on a chain that has it."""
NOT_YET = "not found"
"""In geth's error for a known tag that no block has yet (-39001)."""


class FinalityTags:
    """The safe and finalized block of one node.

    `due` returns the calls to make, `record` takes their answers, `drain` returns the news.
    """

    def __init__(self, every_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._every_seconds = every_seconds
        self._clock = clock
        self._next_at = float("-inf")
        self._asked: list[str] = []
        self._refusals: Counter[str] = Counter()
        self._news: dict[str, Header | None] = {}

    def due(self) -> list[Call]:
        """Return the calls to make; none until it is time again. Unknown tags are not asked for."""
        now = self._clock()
        if now < self._next_at:
            return []
        self._next_at = now + self._every_seconds
        self._asked = [tag for tag in TAGS if self._refusals[tag] < REFUSALS_BELIEVED]
        return [("eth_getBlockByNumber", [tag, False]) for tag in self._asked]

    def record(self, answers: Sequence[Any]) -> None:
        """Record the answers to the calls that were due, a Refused as a value."""
        for tag, answer in zip(self._asked, answers, strict=False):
            if isinstance(answer, Refused) and NOT_YET not in str(answer):
                self._refused(tag)
                continue
            self._refusals[tag] = 0
            if answer is not None and not isinstance(answer, Refused):
                self._news[tag] = parse_header(answer)

    def _refused(self, tag: str) -> None:
        self._refusals[tag] += 1
        if self._refusals[tag] < REFUSALS_BELIEVED:
            self._next_at = float("-inf")
        else:
            self._news[tag] = None

    def drain(self) -> dict[str, Header | None]:
        """Return the blocks recorded since the last call; None = the node knows no such block."""
        news, self._news = self._news, {}
        return news
