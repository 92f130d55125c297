import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookfarm.chain.node_pool import (
    FIRST_RANGE_BLOCKS,
    FIRST_REST_SECONDS,
    MAX_BATCH_CALLS,
    MAX_RANGE_BLOCKS,
    TARGET_LOGS,
    BatchSize,
    NodePool,
    NodeProfile,
    RangeSize,
    TokenBucket,
)

URLS = ("ws://a", "ws://b", "ws://c")


class Setting:
    def __init__(self) -> None:
        self.now = 100.0
        self.pool = NodePool(URLS, clock=lambda: self.now)
        self.a, self.b, self.c = self.pool.all

    def fail(self, profile: NodeProfile, rest: float | None = None) -> None:
        self.pool.failed(profile, 0.5, rest)


def test_the_preferred_one_is_used_and_after_it_failed_the_next_one() -> None:
    setting = Setting()
    used = []
    for _ in range(3):
        profile, seconds = setting.pool.next()
        used.append((profile.url, seconds))
        setting.fail(profile)
    assert used == [("ws://a", 0.0), ("ws://b", 0.0), ("ws://c", 0.0)]


def test_where_all_rest_the_one_is_waited_for_that_has_rested_soonest() -> None:
    setting = Setting()
    setting.fail(setting.a, 30)
    setting.fail(setting.b, 2)
    setting.fail(setting.c, 5)
    profile, seconds = setting.pool.next()
    assert (profile.url, seconds) == ("ws://b", 2)
    setting.now += 2
    assert setting.pool.next()[1] == 0


def test_rests_double_with_each_failure_in_a_row() -> None:
    setting = Setting()
    rests = []
    for _ in range(9):
        setting.fail(setting.a)
        rests.append(round(setting.a.cooldown_until - setting.now, 3))
    assert rests == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10]
    setting.pool.succeeded(setting.a)
    setting.fail(setting.a)
    assert round(setting.a.cooldown_until - setting.now, 3) == 0.1


def test_one_that_names_its_rest_gets_it() -> None:
    setting = Setting()
    setting.fail(setting.a, 120)
    assert setting.a.cooldown_until == setting.now + 120


def test_others_are_those_that_could_be_asked_now() -> None:
    setting = Setting()
    setting.fail(setting.b, 10)
    assert [other.url for other in setting.pool.others(setting.a)] == ["ws://c"]


def test_a_preferred_one_is_asked_again_after_a_while_that_doubles_with_its_failures() -> None:
    setting = Setting()
    setting.fail(setting.a)
    assert setting.pool.preferred_to(setting.b, 30) is None
    setting.now += 30
    assert setting.pool.preferred_to(setting.b, 30) is setting.a
    setting.fail(setting.a)
    setting.now += 30
    assert setting.pool.preferred_to(setting.b, 30) is None
    setting.now += 30
    assert setting.pool.preferred_to(setting.b, 30) is setting.a


def test_nothing_is_preferred_to_the_first_one_and_the_last_one_is_never_preferred() -> None:
    setting = Setting()
    setting.now += 1e6
    assert setting.pool.preferred_to(setting.a, 30) is None
    setting.fail(setting.a, 1e6)
    assert setting.pool.preferred_to(setting.b, 30) is None


def test_only_the_origin_of_a_url_is_shown() -> None:
    assert NodePool(["wss://u:canary@node.example/canary"]).all[0].origin == "wss://node.example"


def test_sizes_double_until_the_first_refusal_and_then_grow_by_an_eighth() -> None:
    size = RangeSize(first=10)
    size.accepted(10, 0)
    size.accepted(20, 0)
    assert size.blocks == 40
    size.refused(40)
    assert size.blocks == 20
    size.accepted(20, 0)
    assert size.blocks == 22


def test_several_refusals_of_the_same_size_halve_it_once() -> None:
    size = RangeSize(first=40)
    for _ in range(4):
        size.refused(40)
    assert size.blocks == 20


def test_a_range_shorter_than_allowed_says_nothing_about_longer_ones() -> None:
    size = RangeSize(first=40)
    size.accepted(3, 10)
    assert size.blocks == 40


def test_a_range_does_not_ask_for_more_logs_than_wanted() -> None:
    size = RangeSize(first=100)
    size.accepted(100, 10 * TARGET_LOGS)
    assert size.blocks == 10


@pytest.mark.parametrize("limit", [1, 2, 5, 10, 50, 2_000])
def test_a_limit_of_blocks_costs_few_refused_requests(limit: int) -> None:
    size, refused, served = RangeSize(), 0, 0
    while served < 2_000:
        if size.blocks > limit:
            size.refused(size.blocks)
            refused += 1
        else:
            size.accepted(size.blocks, 0)
            served += 1
    assert refused <= 2_000 / 50
    assert size.blocks > limit * 0.8


def test_a_limit_that_was_temporary_is_outgrown() -> None:
    size = RangeSize(first=40)
    for _ in range(3):
        size.refused(size.blocks)
    for _ in range(200):
        size.accepted(size.blocks, 0)
    assert size.blocks == MAX_RANGE_BLOCKS


def test_a_length_that_was_served_and_is_refused_now_is_halved() -> None:
    size = RangeSize(first=40)
    for _ in range(3):
        size.accepted(size.blocks, 0)
    assert size.blocks == 320
    size.refused(300)
    assert size.blocks == 160
    size.refused(160)
    assert size.blocks == 80


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 10**6))))
def test_the_size_is_always_at_least_one_block_and_bounded(steps: list[tuple[bool, int]]) -> None:
    size = RangeSize()
    assert size.blocks == FIRST_RANGE_BLOCKS
    for accepted, logs in steps:
        if accepted:
            size.accepted(size.blocks, logs)
        else:
            size.refused(size.blocks)
        assert 1 <= size.blocks <= MAX_RANGE_BLOCKS


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_batches_of_a_refused_size_are_tried_again_after_rests_that_double() -> None:
    clock = Clock()
    size = BatchSize(clock)
    for rest in (FIRST_REST_SECONDS, 2 * FIRST_REST_SECONDS):
        size.reduce(3)
        clock.now += rest - 1
        size.accepted(3)
        assert size.calls == 3
        clock.now += 1
        size.accepted(2)
        assert size.calls == 3, "it says nothing about larger ones"
        size.accepted(3)
        assert size.calls == 6


def test_batches_grow_to_the_maximum_and_forget_their_rests() -> None:
    clock = Clock()
    size = BatchSize(clock)
    for _ in range(2):
        size.reduce(0)
        assert size.calls == 1
        clock.now += FIRST_REST_SECONDS
        while size.calls < MAX_BATCH_CALLS:
            size.accepted(size.calls)


def test_a_refused_batch_that_is_larger_than_the_limit_reduces_nothing() -> None:
    size = BatchSize()
    for calls in (10, 25):
        size.reduce(calls)
    assert size.calls == 10


def test_only_the_second_rate_limit_in_a_row_reduces_batches() -> None:
    size = BatchSize()
    size.rate_limited(100)
    size.accepted(100)
    size.rate_limited(100)
    assert size.calls == MAX_BATCH_CALLS
    size.rate_limited(100)
    assert size.calls == 50


def test_without_a_rate_nobody_waits() -> None:
    bucket = TokenBucket(None)
    assert [bucket.reserve(1000) for _ in range(3)] == [0, 0, 0]


def test_a_second_of_requests_may_come_at_once_and_then_each_waits_its_turn() -> None:
    bucket = TokenBucket(4, Clock())
    assert [bucket.reserve(1) for _ in range(7)] == [0, 0, 0, 0, 0.25, 0.5, 0.75]


def test_tokens_come_back_with_time_but_never_more_than_a_second_of_them() -> None:
    clock = Clock()
    bucket = TokenBucket(4, clock)
    bucket.reserve(4)
    clock.now += 0.5
    assert [bucket.reserve(2), bucket.reserve(1)] == [0, 0.25]
    clock.now += 100
    assert [bucket.reserve(4), bucket.reserve(1)] == [0, 0.25]


def test_a_batch_larger_than_the_bucket_waits_for_what_it_lacks() -> None:
    assert TokenBucket(4, Clock()).reserve(10) == 1.5


def test_a_rate_below_one_still_lets_one_through() -> None:
    bucket = TokenBucket(0.5, Clock())
    assert [bucket.reserve(1), bucket.reserve(1)] == [0, 2]
