"""Retry-After, as numbers and dates."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookfarm.backoff import parse_retry_after

NOW = 1_795_456_800.0
MAXIMUM = 86_400.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0), ("120", 120.0), (" 120 ", 120.0), ("99999999999999999999", MAXIMUM),
        ("", None), ("-1", None), ("1.5", None), ("soon", None), ("1e3", None), ("١٢", None), ("²", None),
    ],
)  # fmt: skip
def test_retry_after_in_seconds(value: str, seconds: float | None) -> None:
    assert parse_retry_after(value, NOW, MAXIMUM) == seconds


def test_a_number_of_any_length_is_the_maximum() -> None:
    assert parse_retry_after("9" * 5000, NOW, MAXIMUM) == MAXIMUM


@pytest.mark.parametrize(("ahead", "seconds"), [(90, 90.0), (0, 0.0), (-3600, 0.0)])
def test_retry_after_as_a_date(ahead: int, seconds: float) -> None:
    date = format_datetime(datetime.fromtimestamp(NOW + ahead, UTC), usegmt=True)
    assert parse_retry_after(date, NOW, MAXIMUM) == seconds


def test_a_date_without_a_zone_is_utc_wherever_the_machine_is() -> None:
    """RFC 9110 section 5.6.7 still has such a form."""
    program = (
        "from hookfarm.backoff import parse_retry_after as parse\n"
        "print(*(parse(date, 0, 1e12) for date in ('Sun Nov 22 18:00:00 2026', 'Sun, 22 Nov 2026 18:00:00 GMT')))"
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
    seconds = parse_retry_after(value, NOW, MAXIMUM)
    assert seconds is None or 0 <= seconds <= MAXIMUM
