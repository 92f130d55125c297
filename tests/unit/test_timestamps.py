"""Times as texts."""

import pytest

from hookfarm import timestamps
from hookfarm.records.events import MAX_TIMESTAMP

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
def test_since_is_a_duration_or_a_time(text: str, expected: int) -> None:
    assert timestamps.parse_since(text, NOW) == expected


@pytest.mark.parametrize("text", ["", "yesterday", "-1h", "1w", "2026-13-01", "1h ago", "nan"])
def test_since_is_nothing_else(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        timestamps.parse_since(text, NOW)


@pytest.mark.parametrize(
    ("at_ms", "text"), [(0, "1970-01-01T00:00:00.000Z"), (1_795_372_794_007, "2026-11-22T18:39:54.007Z")]
)
def test_a_time_is_utc_to_the_millisecond(at_ms: int, text: str) -> None:
    assert timestamps.format_ms(at_ms) == text
    assert timestamps.format_seconds(at_ms / 1000) == text
    assert timestamps.parse(text) == at_ms / 1000


def test_the_last_time_of_a_webhook_has_four_digits_of_year() -> None:
    assert timestamps.format_whole_seconds(MAX_TIMESTAMP) == "9999-12-31T23:59:59Z"
    assert timestamps.format_whole_seconds(0) == "1970-01-01T00:00:00Z"
