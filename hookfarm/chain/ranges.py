"""How many blocks to ask of `eth_getLogs` at once, as pure functions of what nodes answered."""

FIRST_BLOCKS = 64
MAX_BLOCKS = 10_000
TARGET_LOGS = 4_000
"""Per answer: about 2 MB; a larger one keeps the tip waiting longer than it saves."""

_ROUND = 500
_MIN_CAP = 1_000


class RangeSize:
    """The number of blocks to ask for next: halved with every refusal, doubled with every success until the first
    refusal and then raised by an eighth, never more than what probably holds WANTED_LOGS."""

    def __init__(self, first: int = FIRST_BLOCKS, most: int = MAX_BLOCKS) -> None:
        self.blocks = first
        self._most = most
        self._refused = False

    def accepted(self, blocks: int, logs: int) -> None:
        """A range of so many blocks was answered with so many logs."""
        if blocks < self.blocks:
            grown = self.blocks
        elif self._refused:
            grown = self.blocks + max(1, self.blocks // 8)
        else:
            grown = 2 * self.blocks
        fitting = blocks * TARGET_LOGS // logs if logs else grown
        self.blocks = max(1, min(grown, fitting, self._most))

    def refused(self, blocks: int) -> None:
        """A range of so many blocks was refused, whatever the words: the sizes that they suggest may be what was
        asked for."""
        self._refused = True
        self.blocks = max(1, min(self.blocks, blocks // 2))


def looks_capped(logs: int) -> bool:
    """True for a count at which nodes cut answers off without a word: 1,000, 2,000, 5,000, 10,000 …"""
    return logs >= _MIN_CAP and logs % _ROUND == 0


def halves(first: int, last: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Both halves of a range of at least two blocks."""
    middle = (first + last) // 2
    return (first, middle), (middle + 1, last)
