"""The blocks that a chain calls safe and finalized: asked along with other questions, and not too often."""

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
"""What geth says of a tag that it knows, as long as no block has it (-39001)."""


class Tags:
    """One node's. `due` gives the questions, `heard` takes their answers, `take` is what is new."""

    def __init__(self, every_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._every_seconds = every_seconds
        self._clock = clock
        self._next_at = float("-inf")
        self._asked: list[str] = []
        self._refusals: Counter[str] = Counter()
        self._news: dict[str, Header | None] = {}

    def due(self) -> list[Call]:
        """Empty until it is time again; at once after a refusal. What the node does not know is not asked for."""
        now = self._clock()
        if now < self._next_at:
            return []
        self._next_at = now + self._every_seconds
        self._asked = [tag for tag in TAGS if self._refusals[tag] < REFUSALS_BELIEVED]
        return [("eth_getBlockByNumber", [tag, False]) for tag in self._asked]

    def record(self, answers: Sequence[Any]) -> None:
        """The answers to what was due, a Refused as a value; none where nothing was."""
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
        """What was heard since the last time; None = the node does not know such a block."""
        news, self._news = self._news, {}
        return news
