"""The numbers of a slot."""

from hypothesis import given
from hypothesis import strategies as st

from hookfarm.farm.scoreboard import Board
from hookfarm.records import MAX_TIMEOUT_SECONDS
from hookfarm.webhook_delivery import counters


@given(st.integers(0, 60_000_000))
def test_a_bucket_holds_its_durations_closely(microseconds: int) -> None:
    limit = counters.bucket_limit(counters.bucket(microseconds))
    assert microseconds < limit <= max(64, microseconds * 1.25)


@given(st.integers(0, 60_000_000), st.integers(0, 1_000_000))
def test_longer_durations_are_in_later_buckets(microseconds: int, more: int) -> None:
    assert counters.bucket(microseconds) <= counters.bucket(microseconds + more)


@given(st.integers(0, 2**63))
def test_every_duration_has_a_bucket(microseconds: int) -> None:
    assert 0 <= counters.bucket(microseconds) < counters.BUCKETS


def test_the_longest_attempt_is_still_told_from_shorter_ones() -> None:
    longest = counters.bucket(int(MAX_TIMEOUT_SECONDS * 1e6))
    assert longest > counters.bucket(int(MAX_TIMEOUT_SECONDS * 0.75e6))
    assert counters.bucket_limit(longest) / 1e6 >= MAX_TIMEOUT_SECONDS


def test_quantiles_are_taken_over_all_workers() -> None:
    slots = Board({"webhook_delivery": 2}).slots("webhook_delivery")
    for slot, microseconds in zip(slots, (1_000, 1_000_000), strict=True):
        slot.add(counters.POST_TIMES + counters.bucket(microseconds), 50)
    totals = counters.histogram(slots, counters.POST_TIMES)
    assert sum(totals) == 100
    low, high = counters.quantile_seconds(totals, 0.5), counters.quantile_seconds(totals, 0.99)
    assert low is not None
    assert high is not None
    assert 0.001 <= low <= 0.00125
    assert 1.0 <= high <= 1.25


def test_without_observations_there_is_no_quantile() -> None:
    assert counters.quantile_seconds([0] * counters.BUCKETS, 0.99) is None
