"""The numbers a delivery process keeps in its slot, and what its `activity` means."""

from collections.abc import Iterable, Sequence

from hookfarm.farm.scoreboard import COUNTERS, Slot
from hookfarm.http_client import outcome

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
RETRIES = 8
"""Attempts that failed and are followed by another."""
ORPHANS = 9
"""Jobs of a predecessor in its slot that it has queued again."""
POST_MICROSECONDS = 10
"""The sum of what is in the histogram POST_TIMES."""
QUEUE_MICROSECONDS = 11

FAILURES = 12
"""Attempts that failed, by kind."""
DEATHS = FAILURES + len(outcome.KINDS)
"""Jobs that died in its hands, by reason."""
DEATH_REASONS = ("exhausted", "endpoint_gone", "endpoint_removed", "endpoint_invalid", "garbage", "other")

BUCKETS = 84
"""From 16 µs to 67 s, which is more than an attempt may take."""
POST_TIMES = 40
assert DEATHS + len(DEATH_REASONS) <= POST_TIMES
QUEUE_TIMES = POST_TIMES + BUCKETS
assert QUEUE_TIMES + BUCKETS <= COUNTERS


def failure(kind: str) -> int:
    """The counter of failed attempts of a kind."""
    return FAILURES + outcome.KINDS.index(kind)


def death(reason: str) -> int:
    """The counter of jobs that died for a reason, of which what stands before a colon is the word."""
    word = reason.partition(":")[0]
    return DEATHS + DEATH_REASONS.index(word if word in DEATH_REASONS else "other")


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
