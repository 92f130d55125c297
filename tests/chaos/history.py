"""What a chain has been: which blocks ever were canonical, and how deep each of them has ever been."""

import threading
from collections.abc import Sequence
from typing import NamedTuple, Protocol

KEPT = 800
"""Blocks below the head that a change may still concern: more than any reorg is deep."""


class AnyBlock(Protocol):
    @property
    def number(self) -> int: ...

    @property
    def hash(self) -> str: ...


class Change(Protocol):
    """As devchain reports it."""

    @property
    def removed(self) -> Sequence[AnyBlock]: ...

    @property
    def added(self) -> Sequence[AnyBlock]: ...


class Counts(NamedTuple):
    blocks: int
    reorgs: int
    deepest: int


class ChainHistory:
    """`record` may be called from another thread than the rest."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._canonical: list[str] = []
        """Hashes of the blocks from number 1."""
        self._peak: dict[str, int] = {}
        """By hash, for all that ever were: the highest head built on the block."""
        self._blocks = self._reorgs = self._deepest = 0

    def record(self, change: Change) -> None:
        with self._lock:
            if change.removed:
                self._reorgs += 1
                self._deepest = max(self._deepest, len(change.removed))
                del self._canonical[change.removed[0].number - 1 :]
            for block in change.added:
                assert block.number == len(self._canonical) + 1, "a block does not follow its parent"
                self._canonical.append(block.hash)
            self._blocks += len(change.added)
            head = len(self._canonical)
            for name in self._canonical[-KEPT:]:
                self._peak[name] = max(self._peak.get(name, 0), head)

    @property
    def highest(self) -> int:
        """The number of the highest head there ever was."""
        with self._lock:
            return max(self._peak.values(), default=0)

    def ever_under(self, block_hash: str, number: int) -> int:
        """How many blocks have ever stood on this one at most; -1 for one that never was canonical."""
        with self._lock:
            return self._peak.get(block_hash, number - 1) - number

    def counts(self) -> Counts:
        with self._lock:
            return Counts(self._blocks, self._reorgs, self._deepest)
