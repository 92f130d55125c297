from typing import Any

import pytest

from hookfarm.status import Rates


def status(second: float, delivered: int) -> dict[str, Any]:
    return {"timestamp": f"2026-11-22T18:00:{second:06.3f}Z", "delivered": delivered}


@pytest.mark.parametrize(
    "found", [{}, {"reason": "not running"}, {"delivered": 3}, {"timestamp": "2026-11-22T18:00:00Z"}]
)
def test_nothing_known_is_no_rate(found: dict[str, Any]) -> None:
    rates = Rates()
    rates.observe(found)
    assert (rates.per_second, rates.each_second) == (None, ())


def test_the_rate_is_the_mean_of_the_last_five_seconds_by_the_clock_of_the_farm() -> None:
    rates, seen = Rates(), []
    for second, total in enumerate([0, 1000, 1000, 1010, 1020, 1030, 1040, 1050]):
        rates.observe(status(second, total))
        seen.append(rates.per_second)
    assert seen[:2] == [None, 1000]
    assert seen[-1] == 10


def test_a_status_read_twice_counts_once() -> None:
    rates = Rates()
    for second in (0, 0, 1, 1, 1):
        rates.observe(status(second, 10 * second))
    assert rates.each_second == (10.0,)


def test_there_is_one_rate_a_second_however_often_the_farm_writes() -> None:
    rates = Rates()
    for half in range(9):
        rates.observe(status(half / 2, 50 * (half // 2)))
    assert rates.each_second == (50.0,) * 4


def test_a_farm_that_began_anew_begins_a_new_rate() -> None:
    rates = Rates()
    for found in (status(1, 1000), status(2, 0), status(3, 7)):
        rates.observe(found)
    assert (rates.per_second, rates.each_second) == (7.0, (7.0,))
