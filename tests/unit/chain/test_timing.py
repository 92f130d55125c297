import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookfarm.chain.timing import (
    LATENCIES_NEEDED,
    MAX_HEDGE_CREDIT,
    HedgeTiming,
    NodeTimeouts,
    Pace,
    backoff_seconds,
    poll_seconds,
)


def test_pauses_double_from_a_tenth_of_a_second_to_ten_seconds() -> None:
    pauses = [backoff_seconds(failures, chance=0.5) for failures in range(9)]
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10]


def test_a_pause_is_jittered_by_a_fifth() -> None:
    assert backoff_seconds(3, chance=0) == pytest.approx(0.64)
    assert backoff_seconds(3, chance=1) == pytest.approx(0.96)


@given(st.integers(0, 10**9), st.floats(0, 1))
def test_no_pause_is_longer_than_ten_jittered_seconds_or_gone(failures: int, chance: float) -> None:
    assert 0.079 < backoff_seconds(failures, chance) < 12.01


def test_silence_is_suspicious_after_three_block_times_within_bounds() -> None:
    timeouts = NodeTimeouts()
    silences = [timeouts.max_silence(block_seconds) for block_seconds in (None, 0.25, 12, 600)]
    assert silences == [15, 15, 36, 60]


def test_a_block_is_asked_for_a_little_before_it_is_due_and_then_more_often() -> None:
    assert [round(poll_seconds(10, polls), 2) for polls in (1, 2, 3, 4)] == [9, 2, 3, 4.5]


def test_polls_keep_within_bounds() -> None:
    assert [poll_seconds(seconds, 1) for seconds in (None, 0, 0.1, 1000)] == [0.25, 0.25, 0.25, 12]
    assert poll_seconds(12, 10**6) == 12


@given(st.floats(0.5, 13), st.floats(0, 1))
def test_at_most_two_polls_a_block_find_it_where_blocks_are_regular(block_seconds: float, late: float) -> None:
    polls = [poll_seconds(block_seconds, 1), poll_seconds(block_seconds, 2)]
    assert sum(polls) >= block_seconds


def test_limits_leave_a_boot_time_for_a_second_url() -> None:
    timeouts = NodeTimeouts()
    assert 2 * timeouts.connect_seconds < timeouts.boot_seconds < 10


def test_pace_is_unknown_until_two_heads_were_seen() -> None:
    pace = Pace()
    pace.observe(7, 1000)
    assert pace.block_seconds is None


def test_pace_is_the_median_over_the_heads_even_where_some_were_missed() -> None:
    pace = Pace()
    for number, timestamp in ((7, 1000), (8, 1012), (11, 1048)):
        pace.observe(number, timestamp)
    assert pace.block_seconds == 12


def test_pace_starts_again_after_a_reorg() -> None:
    pace = Pace()
    for number, timestamp in ((7, 1000), (8, 1100), (8, 2000), (9, 2002)):
        pace.observe(number, timestamp)
    assert pace.block_seconds == 2


def test_one_jump_of_the_clock_says_nothing_of_the_pace() -> None:
    pace = Pace()
    for number, timestamp in ((0, 0), (1, 1_700_000_000), (2, 1_700_000_012), (3, 1_700_000_024)):
        pace.observe(number, timestamp)
    assert pace.block_seconds == 12


def test_a_request_is_slow_after_the_95th_percentile_of_the_last_ones() -> None:
    timing = HedgeTiming(5)
    for number in range(LATENCIES_NEEDED):
        assert timing.slow_after is None
        timing.record(number / 1_000)
    assert timing.slow_after == 0.019
    for number in range(100):
        timing.record(number / 100)
    assert timing.slow_after is not None
    assert 0.85 < timing.slow_after < 0.96


def test_the_share_of_hedged_requests_is_bounded() -> None:
    timing, hedged = HedgeTiming(5), 0
    for _ in range(1_000):
        timing.record(0.1)
        hedged += timing.take()
    assert hedged == 50
    for _ in range(1_000):
        timing.record(0.1)
    assert sum(timing.take() for _ in range(100)) == MAX_HEDGE_CREDIT
