"""Filters of attempts, and the errors that attempts end with."""

import re
from pathlib import Path

import pytest

from hookfarm import api
from hookfarm.deliveries.filters import TRANSPORT_ERRORS, AttemptFilter
from hookfarm.deliveries.log import LoggedAttempt
from hookfarm.http_client import exchange

CELLS = Path(api.__file__).parent / "static" / "table_cells.js"


@pytest.mark.parametrize(
    ("status", "result", "matches"),
    [
        (None, "500", True), (None, "200", True), ("delivered", "204", True), ("delivered", "500", False),
        ("failed", "timeout", True), ("failed", "200", False), ("500", "500", True), ("500", "503", False),
        ("timeout", "timeout", True), ("timeout", "500", False), ("failed", "2xx", True),
    ],
)  # fmt: skip
def test_a_filter_matches_attempts_by_status(status: str | None, result: str, matches: bool) -> None:
    attempt = LoggedAttempt("1-0", 1, "msg_a", "ep_a", 1, result, 1)
    assert AttemptFilter(status=status).matches(attempt) == matches


def test_attempts_can_be_filtered_by_every_error_of_the_transport() -> None:
    source = Path(exchange.__file__).read_text()
    assert set(re.findall(r'TransportError\("(\w+)"', source)) == set(TRANSPORT_ERRORS)


def test_the_dashboard_has_words_for_every_error_of_the_transport() -> None:
    [table] = re.findall(r"const TRANSPORT_ERRORS = {\n(.*?)};", CELLS.read_text(), re.DOTALL)
    assert re.findall(r"^  (\w+):", table, re.MULTILINE) == list(TRANSPORT_ERRORS)
