"""Rows, moments, and other people's text."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookfarm.cli.tables import columns, indented, moment, plain

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
def test_a_moment_is_utc_to_the_millisecond(at_ms: int | None, shown: str) -> None:
    assert moment(at_ms) == shown


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
