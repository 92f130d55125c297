"""Timing of an ingestor: time-outs of a node, back-off, poll intervals, the time between blocks. Pure."""

from collections import deque
from dataclasses import dataclass
from itertools import pairwise
from statistics import median_low

from hookfarm import backoff

FIRST_PAUSE_SECONDS = 0.1
MAX_PAUSE_SECONDS = 10.0
MAX_SILENCE_SECONDS = 60.0
"""Asking costs one request, so even a chain with rare blocks is asked once a minute."""
MIN_POLL_SECONDS = 0.25
MAX_POLL_SECONDS = 12.0
EXPECTED_AFTER = 0.9
"""Of the time between blocks: a node that announces nothing is asked a little before the next one is due."""
OVERDUE_STEP = 0.2
"""And then again after so much of it: about two questions a block, and a head is at most this much late."""

_HEADS_REMEMBERED = 16


@dataclass(frozen=True)
class NodeTimeouts:
    """Time-outs of calls to a node. connect < boot, so that a boot has time for a second URL."""

    request_seconds: float = 10.0
    """One request, all in all."""
    connect_seconds: float = 3.0
    """One attempt to connect, handshake included."""
    silence_seconds: float = 15.0
    """Without a head, where blocks come faster than every 5 s; else three times the time between blocks."""
    probe_seconds: float = 5.0
    """For a silent node to prove that it is there."""
    return_seconds: float = 30.0
    """After which a preferred node that failed may be asked again while another one serves."""
    tags_seconds: float = 4.0
    """At least between two questions for the safe and the finalized block."""
    boot_seconds: float = 8.0
    """From the start to a known head; less than the 10 s of the master, so that the reason is reported."""

    def max_silence(self, block_seconds: float | None) -> float:
        """Return how long no head is normal, from the time between blocks (None = not known yet)."""
        expected = min(3 * (block_seconds or 0), MAX_SILENCE_SECONDS)
        return max(expected, self.silence_seconds)


def backoff_seconds(failures: int, chance: float) -> float:
    """Return the delay after so many earlier failures in a row (0, 1, …): 0.1, 0.2, 0.4 … 10 s, ±20 %.

    `chance` is a random number from 0 to 1, so that the ingestors of a farm do not come back all at once.
    """
    return backoff.delay(failures, FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS, chance)


def poll_seconds(block_seconds: float | None, polls: int) -> float:
    """Return the time until the next poll, after `polls` (1, 2, …) for a head that is newer than the last one."""
    expected = block_seconds or 0.0
    wait = expected * (EXPECTED_AFTER if polls == 1 else OVERDUE_STEP * 1.5 ** min(polls - 2, 20))
    return min(max(wait, MIN_POLL_SECONDS), MAX_POLL_SECONDS)


class Pace:
    """The time between blocks, from the times of the last heads: their timestamps, or when they were seen.

    The median, so that a single jump (a genesis from years ago, a chain that stalled) does not count.
    """

    def __init__(self) -> None:
        self._heads: deque[tuple[int, float]] = deque(maxlen=_HEADS_REMEMBERED)

    def observe(self, number: int, seen_at: float) -> None:
        if self._heads and number <= self._heads[-1][0]:
            self._heads.clear()
        self._heads.append((number, seen_at))

    @property
    def block_seconds(self) -> float | None:
        """The median time between blocks; None until two heads were seen."""
        if len(self._heads) < 2:
            return None
        return median_low(
            max(until - since, 0) / (last - first) for (first, since), (last, until) in pairwise(self._heads)
        )
