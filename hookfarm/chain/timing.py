"""Timing of an ingestor: time-outs, back-off, poll intervals, block times. Pure functions."""

from collections import deque
from dataclasses import dataclass
from itertools import pairwise
from statistics import median_low

from hookfarm import backoff

FIRST_PAUSE_SECONDS = 0.1
MAX_PAUSE_SECONDS = 10.0
MAX_SILENCE_SECONDS = 60.0
"""A probe costs one request, so even a chain with rare blocks is probed once a minute."""
MIN_POLL_SECONDS = 0.25
MAX_POLL_SECONDS = 12.0
EXPECTED_AFTER = 0.9
"""Fraction of the block time until a node without announcements is polled."""
OVERDUE_STEP = 0.2
"""Fraction of the block time until the next poll: about two polls a block, and heads at most this late."""

_HEADS_REMEMBERED = 16
_LATENCIES_REMEMBERED = 128
LATENCIES_NEEDED = 20
SLOW_QUANTILE = 0.95
MAX_HEDGE_CREDIT = 3.0
"""Hedged requests that a fast node saves up for a slow minute."""


@dataclass(frozen=True)
class NodeTimeouts:
    """Time-outs of calls to a node. connect < boot, so that a boot has time to try a second URL."""

    request_seconds: float = 10.0
    """One request in total."""
    connect_seconds: float = 3.0
    """One connect, handshake included."""
    silence_seconds: float = 15.0
    """Silence of a node before it is probed, for blocks faster than every 5 s; else three block times."""
    probe_seconds: float = 5.0
    """Time for a silent node to respond."""
    return_seconds: float = 30.0
    """Time until a failed preferred node is tried again while another one serves."""
    tags_seconds: float = 4.0
    """Min time between two calls for the safe and finalized block."""
    boot_seconds: float = 8.0
    """Time of a backfill to connect to its first node."""

    def max_silence(self, block_seconds: float | None) -> float:
        """Return the longest normal time without a head; `block_seconds` None = not known yet."""
        expected = min(3 * (block_seconds or 0), MAX_SILENCE_SECONDS)
        return max(expected, self.silence_seconds)


def backoff_seconds(failures: int, chance: float) -> float:
    """Return the delay after so many earlier consecutive failures (0, 1, …): 0.1, 0.2, 0.4 … 10 s, ±20 %.

    `chance` is a random number from 0 to 1; it spreads the retries of a farm's ingestors.
    """
    return backoff.delay(failures, FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS, chance)


def poll_seconds(block_seconds: float | None, polls: int) -> float:
    """Return the time until the next poll, after `polls` (1, 2, …) polls since the last new head."""
    expected = block_seconds or 0.0
    wait = expected * (EXPECTED_AFTER if polls == 1 else OVERDUE_STEP * 1.5 ** min(polls - 2, 20))
    return min(max(wait, MIN_POLL_SECONDS), MAX_POLL_SECONDS)


class Pace:
    """Block time, from the timestamps of the last heads or the times at which they were seen.

    The median ignores a single jump, such as an old genesis or a stalled chain.
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


class HedgeTiming:
    """When a request to a slow node is also sent to another one: after the node's 95th percentile.

    The share of such requests is at most `percent`. The first LATENCIES_NEEDED requests of a node are not hedged.
    """

    def __init__(self, percent: float) -> None:
        self._share = percent / 100
        self._credit = 0.0
        self._seconds: deque[float] = deque(maxlen=_LATENCIES_REMEMBERED)

    def record(self, seconds: float) -> None:
        """Record a finished request: its duration, or the time until the other node answered."""
        self._seconds.append(seconds)
        self._credit = min(self._credit + self._share, MAX_HEDGE_CREDIT)

    @property
    def slow_after(self) -> float | None:
        """The seconds after which a request is slow; None = not known yet."""
        if len(self._seconds) < LATENCIES_NEEDED:
            return None
        return sorted(self._seconds)[int(len(self._seconds) * SLOW_QUANTILE)]

    def take(self) -> bool:
        """Return whether another request may be hedged, and count it."""
        if self._credit < 1:
            return False
        self._credit -= 1
        return True
