"""Telemetry of delivery processes: counters of slots, histograms, metrics, rolling quantiles."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookfarm.deliveries.filters import TRANSPORT_ERRORS
from hookfarm.farm.scoreboard import Scoreboard, Slot
from hookfarm.http_client.outcome import METRIC_LABELS, Response, Result, TransportError
from hookfarm.metrics import Distribution
from hookfarm.records import MAX_TIMEOUT_SECONDS
from hookfarm.webhook_delivery import telemetry


@given(st.integers(0, 60_000_000))
def test_a_bucket_holds_its_durations_closely(microseconds: int) -> None:
    limit = telemetry.bucket_limit(telemetry.bucket(microseconds))
    assert microseconds < limit <= max(64, microseconds * 1.25)


@given(st.integers(0, 60_000_000), st.integers(0, 1_000_000))
def test_longer_durations_are_in_later_buckets(microseconds: int, more: int) -> None:
    assert telemetry.bucket(microseconds) <= telemetry.bucket(microseconds + more)


@given(st.integers(0, 2**63))
def test_every_duration_has_a_bucket(microseconds: int) -> None:
    assert 0 <= telemetry.bucket(microseconds) < telemetry.BUCKETS


def test_the_longest_attempt_has_another_bucket_than_shorter_ones() -> None:
    longest = telemetry.bucket(int(MAX_TIMEOUT_SECONDS * 1e6))
    assert longest > telemetry.bucket(int(MAX_TIMEOUT_SECONDS * 0.75e6))
    assert telemetry.bucket_limit(longest) / 1e6 >= MAX_TIMEOUT_SECONDS


def test_quantiles_are_taken_over_all_workers() -> None:
    slots = Scoreboard({"webhook_delivery": 2}).slots("webhook_delivery")
    for slot, microseconds in zip(slots, (1_000, 1_000_000), strict=True):
        slot.add(telemetry.POST_TIMES + telemetry.bucket(microseconds), 50)
    totals = telemetry.totals_of(slots, telemetry.POST_TIMES)
    assert sum(totals) == 100
    low, high = telemetry.quantile_seconds(totals, 0.5), telemetry.quantile_seconds(totals, 0.99)
    assert low is not None
    assert high is not None
    assert 0.001 <= low <= 0.00125
    assert 1.0 <= high <= 1.25


def test_without_observations_there_is_no_quantile() -> None:
    assert telemetry.quantile_seconds([0] * telemetry.BUCKETS, 0.99) is None


@pytest.fixture
def slots() -> Sequence[Slot]:
    return Scoreboard({"webhook_delivery": 2}).slots("webhook_delivery")


def metrics_of(slots: Sequence[Slot]) -> dict[str, Any]:
    """Name -> value, or label -> value where there are labels."""
    found: dict[str, Any] = {}
    for family in telemetry.families(slots):
        by_label = {next(iter(sample.labels.values()), ""): sample.value for sample in family.samples}
        found[family.name] = by_label.get("", by_label)
    return found


def test_attempts_are_counted_by_outcome_over_all_processes(slots: Sequence[Slot]) -> None:
    slots[0].add(telemetry.DELIVERED, 5)
    slots[1].add(telemetry.DELIVERED, 2)
    slots[1].add(telemetry.failure("timeout"))
    slots[0].add(telemetry.failure("5xx"), 3)
    attempts = metrics_of(slots)["webhook_delivery_attempts"]
    assert (attempts.pop("2xx"), attempts.pop("5xx"), attempts.pop("timeout")) == (7, 3, 1)
    assert set(attempts.values()) == {0}
    assert set(attempts) == {"3xx", "4xx", "other_status"} | set(TRANSPORT_ERRORS) - {"timeout"}


@pytest.mark.parametrize(
    ("result", "label"),
    [
        (Response(301), "3xx"),
        (Response(410), "4xx"),
        (Response(429), "4xx"),
        (Response(503), "5xx"),
        (Response(999), "other_status"),
        *((TransportError(word, ""), word) for word in TRANSPORT_ERRORS),
    ],
)
def test_every_failure_has_a_label_that_is_counted(slots: Sequence[Slot], result: Result, label: str) -> None:
    assert result.metric_label == label
    slots[0].add(telemetry.failure(label))
    assert metrics_of(slots)["webhook_delivery_attempts"][label] == 1


@pytest.mark.parametrize(
    ("reason", "counted"),
    [("exhausted", "exhausted"), ("endpoint_invalid: url: no", "endpoint_invalid"), ("unknown", "other")],
)
def test_dead_letters_are_counted_by_reason(slots: Sequence[Slot], reason: str, counted: str) -> None:
    slots[1].add(telemetry.death(reason))
    dead = metrics_of(slots)["webhook_delivery_dead_letters"]
    assert dead.pop(counted) == 1
    assert set(dead.values()) == {0}


def test_no_two_counters_share_a_place() -> None:
    single = [telemetry.RETRIES, telemetry.ORPHANS, telemetry.POST_MICROSECONDS, telemetry.QUEUE_MICROSECONDS]
    failures = [telemetry.failure(label) for label in METRIC_LABELS]
    deaths = [telemetry.death(reason) for reason in telemetry.DEATH_REASONS]
    times = [
        start + i for start in (telemetry.POST_TIMES, telemetry.QUEUE_TIMES) for i in range(telemetry.BUCKETS)
    ]
    every = [*range(telemetry.POLLED_NS + 1), *single, *failures, *deaths, *times]
    assert len(every) == len(set(every))


def test_the_histogram_counts_every_attempt_once_and_under_its_limits(slots: Sequence[Slot]) -> None:
    durations = [10, 700, 1_023, 1_024, 90_000, 20_000_000, 59_000_000]
    for place, microseconds in enumerate(durations):
        slot = slots[place % 2]
        slot.add(telemetry.POST_TIMES + telemetry.bucket(microseconds))
        slot.add(telemetry.POST_MICROSECONDS, microseconds)
    found = metrics_of(slots)["webhook_delivery_attempt_duration_seconds"]
    assert isinstance(found, Distribution)
    assert found.count == len(durations)
    assert found.sum == pytest.approx(sum(durations) / 1e6)
    expected = tuple(sum(d / 1e6 < limit for d in durations) for limit in found.limits)
    assert found.at_most == expected
    assert found.limits[0] == 0.000512
    assert found.limits[-1] == 33.554432


def test_processes_are_counted_by_activity(slots: Sequence[Slot]) -> None:
    slots[0].on_forked(1)
    slots[0].set_counter(telemetry.IN_FLIGHT, 3)
    slots[1].activity = telemetry.POLLING  # Of a process that is gone.
    assert metrics_of(slots)["webhook_delivery_processes"] == {"polling": 0, "posting": 1, "away": 0}
    assert metrics_of(slots)["webhook_delivery_posts_in_flight"] == 3


FAST, SLOW = telemetry.bucket(1_000), telemetry.bucket(1_000_000)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def totals(fast: int, slow: int) -> list[int]:
    counts = [0] * telemetry.BUCKETS
    counts[FAST], counts[SLOW] = fast, slow
    return counts


def test_what_was_before_the_first_look_does_not_count() -> None:
    assert telemetry.RollingQuantiles(Clock()).quantiles(totals(0, 100)) == {"p50": None, "p99": None}


def test_only_the_last_seconds_count() -> None:
    clock = Clock()
    recent = telemetry.RollingQuantiles(clock)
    recent.quantiles(totals(0, 0))
    clock.now += 1
    slow = recent.quantiles(totals(0, 100))
    assert slow["p50"] == slow["p99"] == round(telemetry.bucket_limit(SLOW) / 1e3)
    for second in range(1, int(telemetry.ROLLING_SECONDS) + 3):
        clock.now += 1
        found = recent.quantiles(totals(second, 100))
    assert found == {name: round(telemetry.bucket_limit(FAST) / 1e3) for name in ("p50", "p99")}
    clock.now += telemetry.ROLLING_SECONDS + 2
    recent.quantiles(totals(int(telemetry.ROLLING_SECONDS) + 2, 100))
    clock.now += telemetry.ROLLING_SECONDS + 2
    assert recent.quantiles(totals(int(telemetry.ROLLING_SECONDS) + 2, 100)) == {"p50": None, "p99": None}


def test_many_looks_a_second_keep_few_samples() -> None:
    clock = Clock()
    recent = telemetry.RollingQuantiles(clock)
    for look in range(1000):
        clock.now += 0.1
        found = recent.quantiles(totals(look, 0))
    assert found["p50"] == round(telemetry.bucket_limit(FAST) / 1e3)
    assert len(recent._kept) <= telemetry.ROLLING_SECONDS + 3
