"""When the next attempt is made."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookfarm.config import DEFAULT_RETRY_SCHEDULE
from hookfarm.http_client.retry_schedule import LONGEST_RETRY_AFTER_SECONDS, parse_retry_after, wait_seconds

NOW = 1_795_456_800.0


def test_the_default_is_nine_attempts_over_eighteen_hours() -> None:
    waits = [wait_seconds(DEFAULT_RETRY_SCHEDULE, attempt, 0.5, None) for attempt in range(1, 10)]
    assert waits == [5, 30, 120, 600, 1800, 7200, 18000, 36000, None]


@given(st.integers(1, 8), st.floats(0, 1))
def test_jitter_is_a_fifth_either_way(attempt: int, chance: float) -> None:
    wait = wait_seconds(DEFAULT_RETRY_SCHEDULE, attempt, chance, None)
    assert wait is not None
    assert 0.8 - 1e-9 <= wait / DEFAULT_RETRY_SCHEDULE[attempt - 1] <= 1.2 + 1e-9


def test_an_empty_schedule_means_one_attempt() -> None:
    assert wait_seconds((), 1, 0.5, 60.0) is None


def test_the_endpoint_may_ask_for_longer_but_not_for_longer_than_a_day() -> None:
    assert wait_seconds((5.0,), 1, 0.5, 3600.0) == 3600
    assert wait_seconds((5.0,), 1, 0.5, 1.0) == 5
    assert wait_seconds((5.0,), 1, 0.5, 1e12) == LONGEST_RETRY_AFTER_SECONDS


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0), ("120", 120.0), (" 120 ", 120.0), ("99999999999999999999", 1e20),
        ("", None), ("-1", None), ("1.5", None), ("soon", None), ("1e3", None), ("١٢", None), ("²", None),
    ],
)  # fmt: skip
def test_retry_after_in_seconds(value: str, seconds: float | None) -> None:
    assert parse_retry_after(value, NOW) == seconds


def test_a_number_of_any_length_is_a_long_time() -> None:
    asked = parse_retry_after("9" * 5000, NOW)
    assert wait_seconds((5.0,), 1, 0.5, asked) == LONGEST_RETRY_AFTER_SECONDS


@pytest.mark.parametrize(("ahead", "seconds"), [(90, 90.0), (0, 0.0), (-3600, 0.0)])
def test_retry_after_as_a_date(ahead: int, seconds: float) -> None:
    date = format_datetime(datetime.fromtimestamp(NOW + ahead, UTC), usegmt=True)
    assert parse_retry_after(date, NOW) == seconds


def test_a_date_without_a_zone_is_utc_wherever_the_machine_is() -> None:
    """RFC 9110 section 5.6.7 still has such a form."""
    program = (
        "from hookfarm.http_client.retry_schedule import parse_retry_after as parse\n"
        "print(*(parse(date, 0.0) for date in ('Sun Nov 22 18:00:00 2026', 'Sun, 22 Nov 2026 18:00:00 GMT')))"
    )
    command = [sys.executable, "-c", program]
    said = subprocess.run(command, env={**os.environ, "TZ": "EST5"}, capture_output=True, text=True, check=True)
    zoneless, gmt = said.stdout.split()
    assert zoneless == gmt != "None"


@given(
    st.one_of(
        st.text(st.characters(max_codepoint=255), max_size=60),
        st.builds(
            " ".join,
            st.lists(
                st.sampled_from(
                    [
                        "Sun,",
                        "Mon",
                        "Nov",
                        "22",
                        "31",
                        "99",
                        "0",
                        "2026",
                        "10000",
                        "18:00:00",
                        "25:61:61",
                        "GMT",
                        "+9999",
                        "-0000",
                    ]
                )
            ),
        ),
    )
)
def test_any_header_is_a_time_to_wait_or_nothing(value: str) -> None:
    asked = parse_retry_after(value, NOW)
    assert asked is None or asked >= 0
    wait = wait_seconds((5.0,), 1, 0.5, asked)
    assert wait is not None
    assert 5 <= wait <= LONGEST_RETRY_AFTER_SECONDS
