"""Filters of attempts by their result."""

import re
from pathlib import Path

import pytest

from hookfarm.deliveries.filters import ERRORS, is_wanted
from hookfarm.http_client import transport


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
