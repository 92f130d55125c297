"""What the delivery processes have counted, as metrics."""

from collections.abc import Iterable, Sequence
from itertools import accumulate

from hookfarm.farm.scoreboard import Slot
from hookfarm.http_client import outcome
from hookfarm.metrics import Distribution, Family, counter, gauge, histogram
from hookfarm.webhook_delivery import counters

PREFIX = "webhook_delivery"
_SHOWN = range(15, counters.BUCKETS - 1, 4)
"""Every fourth bucket ends at a power of two: from 0.5 ms to 34 s."""


def families(slots: Sequence[Slot]) -> Iterable[Family]:
    """Sums over all processes that ever were in these slots."""
    yield from _attempts(slots)
    yield from _jobs(slots)
    yield from _times(slots)
    yield gauge(
        f"{PREFIX}_processes",
        "Delivery processes by what they do: blocked in BRPOP, posting, or away from Redis.",
        *(({"activity": name}, _doing(slots, activity)) for name, activity in _ACTIVITIES.items()),
    )


_ACTIVITIES = {"polling": counters.POLLING, "posting": counters.POSTING, "away": counters.AWAY}


def _attempts(slots: Sequence[Slot]) -> Iterable[Family]:
    yield counter(
        f"{PREFIX}_attempts",
        "POSTs by outcome: the class of the status, or why there was none.",
        ({"outcome": "2xx"}, _total(slots, counters.DELIVERED)),
        *(({"outcome": kind}, _total(slots, counters.failure(kind))) for kind in outcome.KINDS),
    )
    yield counter(
        f"{PREFIX}_retries",
        "Failed attempts that are followed by another.",
        ({}, _total(slots, counters.RETRIES)),
    )


def _jobs(slots: Sequence[Slot]) -> Iterable[Family]:
    yield counter(
        f"{PREFIX}_dead_letters",
        "Jobs given up, by reason.",
        *(({"reason": reason}, _total(slots, counters.death(reason))) for reason in counters.DEATH_REASONS),
    )
    yield counter(
        f"{PREFIX}_given_back",
        "Jobs put back into the queue unattempted, or interrupted by a stop.",
        ({}, _total(slots, counters.GIVEN_BACK)),
    )
    yield counter(
        f"{PREFIX}_adopted", "Jobs that others had pushed into the queue.", ({}, _total(slots, counters.ADOPTED))
    )
    yield counter(
        f"{PREFIX}_orphans_inherited",
        "Jobs that a killed process held and its successor has queued again.",
        ({}, _total(slots, counters.ORPHANS)),
    )


def _times(slots: Sequence[Slot]) -> Iterable[Family]:
    yield histogram(
        f"{PREFIX}_attempt_duration_seconds",
        "How long a POST took, whatever came of it.",
        _distribution(slots, counters.POST_TIMES, counters.POST_MICROSECONDS),
    )
    yield histogram(
        f"{PREFIX}_queue_to_delivered_seconds",
        "From the queue to the 2xx, of jobs delivered at the first attempt.",
        _distribution(slots, counters.QUEUE_TIMES, counters.QUEUE_MICROSECONDS),
    )


def _total(slots: Sequence[Slot], index: int) -> int:
    return sum(slot.counter(index) for slot in slots)


def _doing(slots: Sequence[Slot], activity: int) -> int:
    return sum(slot.pid != 0 and slot.activity == activity for slot in slots)


def _distribution(slots: Sequence[Slot], start: int, sum_at: int) -> Distribution:
    up_to = list(accumulate(counters.histogram(slots, start)))
    limits = tuple(counters.bucket_limit(index) / 1e6 for index in _SHOWN)
    return Distribution(limits, tuple(up_to[i] for i in _SHOWN), up_to[-1], _total(slots, sum_at) / 1e6)
