"""When to ask again: pauses, poll intervals and the silence that is suspicious, as pure functions."""

from collections import deque
from dataclasses import dataclass

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 10.0
MOST_SILENCE_SECONDS = 60.0
"""Asking costs one request, so even a chain with rare blocks is asked once a minute."""
LEAST_POLL_SECONDS = 0.25
MOST_POLL_SECONDS = 1.0

_HEADS_REMEMBERED = 16


@dataclass(frozen=True)
class Limits:
    """How long a node may take. connect < boot, so that a boot has time for a second URL."""

    request_seconds: float = 10.0
    """One request, all in all."""
    connect_seconds: float = 3.0
    """One attempt to connect, handshake included."""
    silence_seconds: float = 15.0
    """Without a head, where blocks come faster than every 5 s; else three times the time between blocks."""
    probe_seconds: float = 5.0
    """For a silent node to prove that it is there."""
    boot_seconds: float = 8.0
    """From nothing to a known head; a master gives its children 10 s, and wants to hear the reason before."""

    def suspicious_silence(self, block_seconds: float | None) -> float:
        """How long no head is normal, from the time between blocks (None = not known yet)."""
        expected = min(3 * (block_seconds or 0), MOST_SILENCE_SECONDS)
        return max(expected, self.silence_seconds)


def pause_seconds(failures: int, jitter: float) -> float:
    """The wait after the n-th failure in a row (0, 1, …): 0.1, 0.2, 0.4 … 10 s, less up to half of it.

    `jitter` is from 0 to 1, so that the ingestors of a farm don't come back all at once.
    """
    whole = min(FIRST_PAUSE_SECONDS * 2.0 ** min(failures, 30), LONGEST_PAUSE_SECONDS)
    return whole * (1 - jitter / 2)


def poll_seconds(block_seconds: float | None) -> float:
    """How often to ask a node that announces nothing: four times a block, within bounds."""
    return min(max((block_seconds or 0) / 4, LEAST_POLL_SECONDS), MOST_POLL_SECONDS)


class Pace:
    """The time between blocks, from the timestamps of the last heads."""

    def __init__(self) -> None:
        self._heads: deque[tuple[int, int]] = deque(maxlen=_HEADS_REMEMBERED)

    def saw(self, number: int, timestamp: int) -> None:
        if self._heads and number <= self._heads[-1][0]:
            self._heads.clear()
        self._heads.append((number, timestamp))

    @property
    def block_seconds(self) -> float | None:
        """None until two heads were seen."""
        if len(self._heads) < 2:
            return None
        (first, since), (last, until) = self._heads[0], self._heads[-1]
        return max(until - since, 0) / (last - first)
