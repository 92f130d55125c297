"""Tables, numbers, untrusted text and progress bars."""

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from hookfarm.cli.output import (
    BATCH_SIZE,
    UNKNOWN,
    columns,
    count,
    duration,
    elapsed,
    indented,
    plain,
    progress_bar,
    rate,
    sparkline,
    time_of,
    track,
    track_batches,
)
from tests.support.waiting import eventually

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


def test_columns_are_as_wide_as_their_widest_and_nothing_is_cut() -> None:
    rows = [("id", "state", "url"), ("ep_1", "enabled", "u" * 300), ("ep_22", "failing", "")]
    assert list(columns(rows)) == ["id     state    url", "ep_1   enabled  " + "u" * 300, "ep_22  failing"]


@pytest.mark.parametrize(
    ("at_ms", "shown"),
    [(0, "1970-01-01T00:00:00.000Z"), (1_795_372_794_007, "2026-11-22T18:39:54.007Z"), (None, "-")],
)
def test_a_time_is_utc_to_the_millisecond(at_ms: int | None, shown: str) -> None:
    assert time_of(at_ms) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("grün €", "grün €"), ("a\nb\tc", r"a\nb\tc"), ("\x1b[31m", r"\x1b[31m"), ("\x9b31m", r"\x9b31m"),
        ("\u202e", r"\u202e"), ("\x7f", r"\x7f"),
    ],
)  # fmt: skip
def test_nothing_that_a_terminal_obeys_is_left_in_a_text(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_json_is_indented_with_its_numbers_as_they_were_written() -> None:
    text = '{"a":[],"b":{},"c":[1.10,{"d":12345678901234567890123,"e":"[,]:{\\""}],"f":[[1],[]]}'
    assert list(indented(text)) == [
        "{", '  "a": [],', '  "b": {},', '  "c": [', "    1.10,", "    {", '      "d": 12345678901234567890123,',
        '      "e": "[,]:{\\""', "    }", "  ],", '  "f": [', "    [", "      1", "    ],", "    []", "  ]", "}",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["null", '"x"', "[]", "{}", "[{}]", "-1.5e3"])
def test_the_smallest_json_is_indented_too(text: str) -> None:
    assert json.loads("\n".join(indented(text))) == json.loads(text)


@given(JSON)
def test_indenting_changes_no_value(value: Any) -> None:
    for separators in ((",", ":"), (" ,\n ", " : ")):
        lines = list(indented(json.dumps(value, separators=separators)))
        assert json.loads("\n".join(lines)) == value


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


@pytest.mark.parametrize("count", [0, 1, BATCH_SIZE, BATCH_SIZE + 1, 3 * BATCH_SIZE])
def test_everything_comes_once_and_in_order(count: int) -> None:
    found = list(track_batches(range(count), "sending", Console(file=io.StringIO())))
    assert [item for batch in found for item in batch] == list(range(count))
    assert all(0 < len(batch) <= BATCH_SIZE for batch in found)
    assert list(track(range(count), "sealing")) == list(range(count))


def test_a_bar_is_drawn_while_the_first_step_lasts_and_is_gone_at_the_end() -> None:
    file = io.StringIO()
    with progress_bar("sending", 3, Console(file=file, force_terminal=True, width=80), after_seconds=0.0):
        eventually(lambda: "sending" in file.getvalue(), what="a bar")
    assert file.getvalue().endswith("\x1b[2K"), "the line is erased"


def test_a_bar_says_how_many_are_done() -> None:
    file = io.StringIO()
    found = track_batches(range(2 * BATCH_SIZE), "sending", Console(file=file, force_terminal=True, width=80), 0.0)
    next(found)
    next(found)
    eventually(lambda: "50%" in file.getvalue(), what="half of the bar")
    assert list(found) == []


def test_what_is_soon_done_draws_nothing() -> None:
    file = io.StringIO()
    assert list(track_batches(range(3), "sending", Console(file=file, force_terminal=True), 3600.0))
    assert file.getvalue() == ""


def test_nothing_is_drawn_where_there_is_no_terminal() -> None:
    file = io.StringIO()
    with progress_bar("sending", 3, Console(file=file), after_seconds=0.0) as update:
        update(1)
    assert file.getvalue() == ""
