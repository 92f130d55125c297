"""Telemetry of delivery processes: counters in slots, metrics and status computed from them."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from operator import add
from typing import TypedDict

import redis

from hookfarm.config import MAX_CONCURRENCY
from hookfarm.farm.scoreboard import COUNTERS, Slot, State
from hookfarm.http_client.outcome import METRIC_LABELS
from hookfarm.metrics import Distribution, Family, counter, gauge, histogram
from hookfarm.store import keys

AWAY, POLLING, BUSY = 0, 1, 2
"""Activities: disconnected from Redis; BRPOP under way; connected without a BRPOP."""

CLIENT_ID = 0
"""Redis id of the pop connection, for CLIENT UNBLOCK."""
IN_FLIGHT = 1
"""POSTs in flight."""
DELIVERED = 2
FAILED = 3
"""Failed attempts."""
DEAD = 4
"""Dead letters."""
RETURNED = 5
ADOPTED = 6
POLLED_NS = 7
"""Time of the last BRPOP in CLOCK_MONOTONIC nanoseconds; written before the send."""
RETRIES = 8
"""Failed attempts whose job is retried."""
ORPHANS = 9
"""Requeued jobs of a crashed predecessor in the slot."""
POST_MICROSECONDS = 10
"""Sum of all values in the histogram POST_TIMES."""
QUEUE_MICROSECONDS = 11

FAILURES = 12
"""Failed attempts by metric label."""
DEATHS = FAILURES + len(METRIC_LABELS)
"""Dead letters by reason."""
DEATH_REASONS = ("exhausted", "endpoint_gone", "endpoint_removed", "endpoint_invalid", "garbage", "other")

BUCKETS = 84
"""Buckets of a histogram, from 16 µs to 67 s; an attempt takes less."""
POST_TIMES = 40
assert DEATHS + len(DEATH_REASONS) <= POST_TIMES
QUEUE_TIMES = POST_TIMES + BUCKETS
HELD = QUEUE_TIMES + BUCKETS
"""First place of a held job: its sequence, 0 = free."""
MAX_HELD = 2 * MAX_CONCURRENCY
assert HELD + MAX_HELD <= COUNTERS


ROLLING_SECONDS = 10.0
SAMPLE_SECONDS = 1.0
"""Interval of samples. Quantiles cover ROLLING_SECONDS to ROLLING_SECONDS + SAMPLE_SECONDS."""
METRIC_PREFIX = "webhook_delivery"
_METRIC_BUCKETS = range(15, BUCKETS - 1, 4)
"""Every fourth bucket ends at a power of two: from 0.5 ms to 34 s."""


def failure(label: str) -> int:
    """Return the index of the counter of failed attempts with a label, one of METRIC_LABELS."""
    return FAILURES + METRIC_LABELS.index(label)


def death(reason: str) -> int:
    """Return the index of the counter of dead letters with a reason; text after a colon is ignored."""
    word = reason.partition(":")[0]
    return DEATHS + DEATH_REASONS.index(word if word in DEATH_REASONS else "other")


def bucket(microseconds: int) -> int:
    """Return the histogram bucket of a duration.

    Each doubling has four buckets, so a bucket's upper end is at most 25 % above the duration.
    """
    if microseconds < 64:
        return max(0, microseconds >> 4)
    bits = microseconds.bit_length()
    return min(BUCKETS - 1, 4 * (bits - 6) + ((microseconds >> (bits - 3)) & 3))


def bucket_limit(index: int) -> float:
    """Return the upper end of a bucket in microseconds."""
    bits, quarter = divmod(index, 4)
    return float((5 + quarter) << (bits + 3)) if bits else 16.0 * (index + 1)


def totals_of(slots: Iterable[Slot], start: int) -> list[int]:
    """Return the sums over all workers of the BUCKETS counters that begin at `start`."""
    totals = [0] * BUCKETS
    for slot in slots:
        totals = list(map(add, totals, slot.counters(start, BUCKETS)))
    return totals


def quantile_seconds(totals: Sequence[int], share: float) -> float | None:
    """Return the quantile `share` of a histogram. Returns None if the histogram is empty."""
    target = share * sum(totals)
    seen = 0
    for index, count in enumerate(totals):
        seen += count
        if count and seen >= target:
            return bucket_limit(index) / 1e6
    return None


def families(slots: Sequence[Slot]) -> Iterable[Family]:
    """Yield the metrics of delivery processes. Counters include all earlier processes of the slots."""
    yield from _attempts(slots)
    yield from _jobs(slots)
    yield from _times(slots)
    yield gauge(
        f"{METRIC_PREFIX}_processes",
        "Delivery processes by activity: polling (blocked in BRPOP), posting, or away (disconnected from Redis).",
        *(({"activity": name}, _doing(slots, letter)) for name, letter in _ACTIVITIES.items()),
    )
    yield gauge(f"{METRIC_PREFIX}_posts_in_flight", "POSTs in flight.", ({}, _total(slots, IN_FLIGHT)))


_ACTIVITIES = {"polling": "b", "posting": "p", "away": "a"}


def _attempts(slots: Sequence[Slot]) -> Iterable[Family]:
    yield counter(
        f"{METRIC_PREFIX}_attempts",
        "POSTs by outcome: class of the HTTP status, or kind of the transport error.",
        ({"outcome": "2xx"}, _total(slots, DELIVERED)),
        *(({"outcome": label}, _total(slots, failure(label))) for label in METRIC_LABELS),
    )
    yield counter(
        f"{METRIC_PREFIX}_retries",
        "Failed attempts whose job is retried.",
        ({}, _total(slots, RETRIES)),
    )


def _jobs(slots: Sequence[Slot]) -> Iterable[Family]:
    yield counter(
        f"{METRIC_PREFIX}_dead_letters",
        "Jobs that became dead letters, by reason.",
        *(({"reason": reason}, _total(slots, death(reason))) for reason in DEATH_REASONS),
    )
    yield counter(
        f"{METRIC_PREFIX}_returned",
        "Jobs returned to the queue, unattempted or with an attempt that a stop interrupted.",
        ({}, _total(slots, RETURNED)),
    )
    yield counter(f"{METRIC_PREFIX}_adopted", "Foreign elements adopted as jobs.", ({}, _total(slots, ADOPTED)))
    yield counter(
        f"{METRIC_PREFIX}_orphans_inherited",
        "Jobs of a crashed process that its successor in the slot requeued.",
        ({}, _total(slots, ORPHANS)),
    )


def _times(slots: Sequence[Slot]) -> Iterable[Family]:
    yield histogram(
        f"{METRIC_PREFIX}_attempt_duration_seconds",
        "Duration of POSTs, failed ones included.",
        _distribution(slots, POST_TIMES, POST_MICROSECONDS),
    )
    yield histogram(
        f"{METRIC_PREFIX}_queue_to_delivered_seconds",
        "Time from the queue to the 2xx response, of jobs delivered at the first attempt.",
        _distribution(slots, QUEUE_TIMES, QUEUE_MICROSECONDS),
    )


def _doing(slots: Sequence[Slot], letter: str) -> int:
    return sum(slot.pid != 0 and _doing_letter(slot) == letter for slot in slots)


def _doing_letter(slot: Slot) -> str:
    """Return p = POSTs in flight, a = disconnected from Redis, b = otherwise."""
    if slot.counter(IN_FLIGHT):
        return "p"
    return "a" if slot.activity == AWAY else "b"


def _distribution(slots: Sequence[Slot], start: int, sum_at: int) -> Distribution:
    up_to = list(accumulate(totals_of(slots, start)))
    limits = tuple(bucket_limit(index) / 1e6 for index in _METRIC_BUCKETS)
    return Distribution(limits, tuple(up_to[i] for i in _METRIC_BUCKETS), up_to[-1], _total(slots, sum_at) / 1e6)


def all_polling(run: str, workers: int) -> Callable[[redis.Redis], bool]:
    """Return the readiness check: whether every worker of the run has entered BRPOP."""
    return lambda client: int(client.get(keys.reported(run)) or 0) >= workers


def polling_clients(slots: Sequence[Slot]) -> list[int]:
    """Return the Redis ids of connections in BRPOP, for CLIENT UNBLOCK, which loses no popped job."""
    polling = (s for s in slots if s.pid and s.activity == POLLING and s.state == State.UP)
    return [slot.counter(CLIENT_ID) for slot in polling]


class LatencyQuantiles(TypedDict):
    """Latencies in ms; None = no observations."""

    p50: int | None
    p99: int | None


class DeliveryReport(TypedDict, total=False):
    """Report of the delivery processes in the service's status.

    `recent_…` cover the last ROLLING_SECONDS, all others the time since the farm started. `activity` has a letter
    for each worker (see `_activity_letter`).
    """

    delivered: int
    failed_attempts: int
    dead: int
    returned: int
    adopted: int
    in_flight: int
    activity: str
    post_ms: LatencyQuantiles
    queued_to_delivered_ms: LatencyQuantiles
    recent_post_ms: LatencyQuantiles
    recent_queued_to_delivered_ms: LatencyQuantiles


class DeliveryReporter:
    """Builds the report from the slots."""

    def __init__(self) -> None:
        self._posts, self._waits = RollingQuantiles(), RollingQuantiles()

    def __call__(self, slots: Sequence[Slot]) -> DeliveryReport:
        posts = totals_of(slots, POST_TIMES)
        waits = totals_of(slots, QUEUE_TIMES)
        return {
            "delivered": _total(slots, DELIVERED),
            "failed_attempts": _total(slots, FAILED),
            "dead": _total(slots, DEAD),
            "returned": _total(slots, RETURNED),
            "adopted": _total(slots, ADOPTED),
            "in_flight": _total(slots, IN_FLIGHT),
            "activity": "".join(_activity_letter(slot) for slot in slots if slot.state != State.EMPTY),
            "post_ms": _quantiles(posts),
            "queued_to_delivered_ms": _quantiles(waits),
            "recent_post_ms": self._posts.quantiles(posts),
            "recent_queued_to_delivered_ms": self._waits.quantiles(waits),
        }


def _total(slots: Sequence[Slot], counter: int) -> int:
    return sum(slot.counter(counter) for slot in slots)


def _quantiles(totals: Sequence[int]) -> LatencyQuantiles:
    return {"p50": _quantile_ms(totals, 0.5), "p99": _quantile_ms(totals, 0.99)}


def _quantile_ms(totals: Sequence[int], share: float) -> int | None:
    seconds = quantile_seconds(totals, share)
    return None if seconds is None else round(1000 * seconds)


def _activity_letter(slot: Slot) -> str:
    """Return b = blocked in BRPOP, p = posting, r = restarting, s = stalled."""
    if slot.pid == 0 or slot.state == State.BOOTING:
        return "r"
    if slot.state != State.UP:
        return "s"
    return "p" if slot.counter(IN_FLIGHT) else "b"


class RollingQuantiles:
    """Quantiles of the last ROLLING_SECONDS, from a histogram that counts since the farm started."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: deque[tuple[float, Sequence[int]]] = deque()

    def quantiles(self, totals: Sequence[int]) -> LatencyQuantiles:
        """Add a sample, the histogram's current totals, and return the recent quantiles."""
        now = self._clock()
        while len(self._kept) > 1 and self._kept[1][0] <= now - ROLLING_SECONDS:
            self._kept.popleft()
        before = self._kept[0][1] if self._kept else totals
        if not self._kept or now - self._kept[-1][0] >= SAMPLE_SECONDS:
            self._kept.append((now, totals))
        added = [max(0, total - was) for total, was in zip(totals, before, strict=True)]
        return _quantiles(added)


class HeldJobs:
    """Places of one process: one sequence each, from the pop to the confirmed settlement; 0 = free."""

    def __init__(self, slot: Slot, concurrency: int) -> None:
        self._slot = slot
        self._free = list(range(HELD, HELD + held_places(concurrency)))
        self._places: dict[int, int] = {}

    @property
    def room(self) -> int:
        """Number of free places."""
        return len(self._free)

    def inherited(self) -> list[int]:
        """Return the sequences that a crashed predecessor left in this slot. Call it before the first `add`."""
        return held_sequences(self._slot)

    def clear(self) -> None:
        """Free all places."""
        for index in range(HELD, HELD + MAX_HELD):
            self._slot.set_counter(index, 0)

    def add(self, sequence: int) -> None:
        """Put the sequence of a popped job into a free place."""
        place = self._free.pop()
        self._places[sequence] = place
        self._slot.set_counter(place, sequence)

    def remove(self, sequence: int) -> None:
        """Free the place of a job. Call it only after Redis has confirmed the job's settlement.

        A job that is freed earlier looks like an orphan to the sweep.
        """
        place = self._places.pop(sequence)
        self._slot.set_counter(place, 0)
        self._free.append(place)

    def __len__(self) -> int:
        return len(self._places)


def held_places(concurrency: int) -> int:
    """Return the number of places of a process: half for jobs in flight, half for jobs being settled."""
    return 2 * concurrency


def held_sequences(slot: Slot) -> list[int]:
    """Return the sequences in a slot: jobs of its process, or of its crashed predecessor."""
    return list(filter(None, slot.counters(HELD, MAX_HELD)))
