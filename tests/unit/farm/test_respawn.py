"""When a child that is gone is forked again."""

import pytest

from hookfarm.farm.respawn import (
    MAX_WAIT_SECONDS,
    SETTLED_SECONDS,
    backoff_seconds,
    boot_seconds,
    quick_exits_after,
)


@pytest.mark.parametrize(
    ("previous", "came_up", "age_seconds", "expected"),
    [
        (0, True, SETTLED_SECONDS, 0),
        (7, True, SETTLED_SECONDS, 0),
        (0, True, SETTLED_SECONDS - 0.01, 1),
        (7, True, 0.0, 8),
        (0, False, 3600.0, 1),
        (7, False, 3600.0, 8),
    ],
)
def test_only_a_child_that_came_up_and_lived_a_while_has_worked(
    previous: int, came_up: bool, age_seconds: float, expected: int
) -> None:
    assert quick_exits_after(previous, came_up, age_seconds) == expected


def test_who_came_up_and_was_killed_is_not_to_blame() -> None:
    assert quick_exits_after(7, came_up=True, age_seconds=0.0, killed=True) == 0


def test_who_is_killed_before_it_came_up_is_waited_for_a_second_at_most() -> None:
    """The kernel may be short of the very memory that booting takes."""
    quick_exits = quick_exits_after(7, came_up=False, age_seconds=3600.0, killed=True)
    assert quick_exits == 8
    assert backoff_seconds(1, 0.5, killed=True) == 0.1
    assert backoff_seconds(quick_exits, 0.5, killed=True) == 1.0


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_who_has_worked_is_replaced_at_once(chance: float) -> None:
    assert backoff_seconds(0, chance) == 0.0


def test_waits_double_up_to_the_longest() -> None:
    waits = [backoff_seconds(quick_exits, 0.5) for quick_exits in range(1, 12)]
    assert waits == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0])


@pytest.mark.parametrize(("chance", "factor"), [(0.0, 0.8), (0.5, 1.0), (1.0, 1.2)])
@pytest.mark.parametrize("quick_exits", [1, 5, 100])
def test_a_wait_varies_by_a_fifth(quick_exits: int, chance: float, factor: float) -> None:
    assert backoff_seconds(quick_exits, chance) == pytest.approx(factor * backoff_seconds(quick_exits, 0.5))


def test_any_number_of_quick_exits_has_a_wait() -> None:
    assert backoff_seconds(10**9, 0.5) == MAX_WAIT_SECONDS


def test_a_child_has_longer_to_boot_after_each_that_did_not_come_up() -> None:
    assert [boot_seconds(10.0, quick_exits) for quick_exits in (0, 1, 2, 3, 4, 1000)] == [10, 20, 40, 80, 80, 80]
