import pytest

from hookfarm.cli.view_numbers import UNKNOWN, count, duration, elapsed, rate, sparkline


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, UNKNOWN),
        (0.0, "0 µs"),
        (0.00084, "840 µs"),
        (0.0012, "1.2 ms"),
        (0.042, "42 ms"),
        (0.9, "900 ms"),
        (3.14, "3.1 s"),
        (4000.0, "4,000 s"),
    ],
)
def test_a_duration_has_the_unit_that_suits_it(seconds: float | None, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.9, "0:00"), (62, "1:02"), (3600, "1:00:00"), (86399, "23:59:59")]
)
def test_elapsed_time_reads_like_a_clock(seconds: float, shown: str) -> None:
    assert elapsed(seconds) == shown


def test_counts_and_rates_are_grouped_and_unknown_ones_are_a_dash() -> None:
    assert (count(1234567), count(None)) == ("1,234,567", UNKNOWN)
    assert (rate(1234.56), rate(None)) == ("1,234.6", UNKNOWN)


def test_the_highest_bar_is_full_and_nothing_is_flat() -> None:
    assert sparkline([0, 25, 50, 100]) == "▁▃▅█"
    assert sparkline([0, 0]) == "▁▁"
    assert sparkline([]) == ""
    assert sparkline([-1, 5], ascii_only=True) == "_#"
