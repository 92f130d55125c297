from hypothesis import given
from hypothesis import strategies as st

from hookfarm.chain.ranges import FIRST_BLOCKS, MAX_BLOCKS, TARGET_LOGS, RangeSize, halves, looks_capped


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


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 10**6))))
def test_the_size_is_always_at_least_one_block_and_bounded(steps: list[tuple[bool, int]]) -> None:
    size = RangeSize()
    assert size.blocks == FIRST_BLOCKS
    for accepted, logs in steps:
        if accepted:
            size.accepted(size.blocks, logs)
        else:
            size.refused(size.blocks)
        assert 1 <= size.blocks <= MAX_BLOCKS


def test_counts_at_which_providers_cut_off_look_so() -> None:
    caps = (1000, 2000, 2500, 5000, 10_000, 20_000, 100_000)
    assert all(map(looks_capped, caps))
    assert not any(map(looks_capped, (0, 1, 10, 100, 500, 999, 1001, 10_001)))


@given(st.integers(0, 10**9), st.integers(1, 10**6))
def test_halves_make_the_whole(first: int, more: int) -> None:
    (a, b), (c, d) = halves(first, first + more)
    assert (a, d) == (first, first + more)
    assert b + 1 == c
    assert a <= b
    assert c <= d
