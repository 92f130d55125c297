"""How deliveries are chosen."""

import re
from pathlib import Path

import pytest

from hookfarm import timestamps
from hookfarm.deliveries.filters import ERRORS, is_wanted
from hookfarm.http_client import transport

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0s", 1_800_000_000_000), ("90s", 1_799_999_910_000), ("1h", 1_799_996_400_000),
        ("2d", 1_799_827_200_000), ("500ms", 1_799_999_999_500), ("30000d", 0), ("2026-11-22", 1_795_305_600_000),
        ("2026-11-22T18:39:54", 1_795_372_794_000), ("2026-11-22T18:39:54.5Z", 1_795_372_794_500),
        ("2026-11-22T19:39:54+01:00", 1_795_372_794_000), ("1900-01-01", 0),
    ],
)  # fmt: skip
def test_since_is_so_long_ago_or_a_moment(text: str, expected: int) -> None:
    assert timestamps.since_ms(text, NOW) == expected


@pytest.mark.parametrize("text", ["", "yesterday", "-1h", "1w", "2026-13-01", "1h ago", "nan"])
def test_since_is_nothing_else(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        timestamps.since_ms(text, NOW)


@pytest.mark.parametrize(
    ("status", "result", "delivered", "wanted"),
    [
        (None, "500", False, True), (None, "200", True, True), ("delivered", "204", True, True),
        ("delivered", "500", False, False), ("failed", "timeout", False, True), ("failed", "200", True, False),
        ("500", "500", False, True), ("500", "503", False, False), ("timeout", "timeout", False, True),
    ],
)  # fmt: skip
def test_a_status_chooses_attempts(status: str | None, result: str, delivered: bool, wanted: bool) -> None:
    assert is_wanted(status, result, delivered=delivered) == wanted


def test_every_error_of_an_attempt_can_be_asked_for() -> None:
    source = Path(transport.__file__).read_text()
    assert set(re.findall(r'TransportError\("(\w+)"', source)) == set(ERRORS)
