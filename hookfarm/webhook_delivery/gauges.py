"""The numbers a delivery process keeps in its slot, and what its `activity` means."""

from collections.abc import Iterable, Sequence

from hookfarm.farm.board import COUNTERS, Slot

AWAY, POLLING, POSTING = 0, 1, 2
"""Activities: without a connection on which it has asked for anything; blocked in BRPOP; busy with a job."""

CLIENT_ID = 0
"""Its connection's id at Redis, for CLIENT UNBLOCK."""
HELD_SEQUENCE = 1
"""The sequence of the job it has taken, until Redis has answered its settlement; 0 = none."""
DELIVERED = 2
FAILED = 3
"""Attempts that failed."""
DEAD = 4
"""Jobs that died in its hands."""
GIVEN_BACK = 5
ADOPTED = 6
ASKED_NS = 7
"""When it last sent a BRPOP, CLOCK_MONOTONIC nanoseconds; written before the send."""

BUCKETS = 84
"""From 16 µs to 67 s, which is more than an attempt may take."""
POST_TIMES = 16
QUEUE_TIMES = POST_TIMES + BUCKETS
assert QUEUE_TIMES + BUCKETS <= COUNTERS


def bucket(microseconds: int) -> int:
    """The histogram bucket of a duration: four to each doubling, so its upper end is at most a quarter more."""
    if microseconds < 64:
        return max(0, microseconds >> 4)
    bits = microseconds.bit_length()
    return min(BUCKETS - 1, 4 * (bits - 6) + ((microseconds >> (bits - 3)) & 3))


def bucket_limit(index: int) -> float:
    """The upper end of a bucket in microseconds."""
    bits, quarter = divmod(index, 4)
    return float((5 + quarter) << (bits + 3)) if bits else 16.0 * (index + 1)


def histogram(slots: Iterable[Slot], start: int) -> list[int]:
    """The buckets from counter `start` on, summed over workers."""
    totals = [0] * BUCKETS
    for slot in slots:
        for index in range(BUCKETS):
            totals[index] += slot.counter(start + index)
    return totals


def quantile_seconds(totals: Sequence[int], share: float) -> float | None:
    """The duration that `share` of the observations stay under; None where there are none."""
    wanted = share * sum(totals)
    seen = 0
    for index, count in enumerate(totals):
        seen += count
        if count and seen >= wanted:
            return bucket_limit(index) / 1e6
    return None
