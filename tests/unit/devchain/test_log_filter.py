from typing import Any

import pytest

from hookfarm.devchain.queries import parse_log_filter

TOKEN, OTHER = "0x" + "aa" * 20, "0x" + "bb" * 20
A, B, C = ("0x" + digit * 64 for digit in "abc")

LOG = {"address": TOKEN, "topics": [A, B]}
BARE = {"address": TOKEN, "topics": []}


@pytest.mark.parametrize(
    ("criteria", "log", "matches"),
    [
        ({}, LOG, True),
        ({}, BARE, True),
        ({"address": TOKEN}, LOG, True),
        ({"address": TOKEN.upper().replace("0X", "0x")}, LOG, True),
        ({"address": OTHER}, LOG, False),
        ({"address": [OTHER, TOKEN]}, LOG, True),
        ({"address": []}, LOG, True),
        ({"address": None, "topics": None}, LOG, True),
        ({"topics": []}, BARE, True),
        ({"topics": [A]}, LOG, True),
        ({"topics": [B]}, LOG, False),
        ({"topics": [A]}, BARE, False),
        ({"topics": [None, B]}, LOG, True),
        ({"topics": [None, A]}, LOG, False),
        ({"topics": [A, B]}, LOG, True),
        ({"topics": [A, C]}, LOG, False),
        ({"topics": [[B, A]]}, LOG, True),
        ({"topics": [[B, C]]}, LOG, False),
        ({"topics": [[], [C, B]]}, LOG, True),
        ({"topics": [[None], B]}, LOG, True),
        ({"topics": [[C, None], B]}, LOG, True),
        ({"topics": [None, None]}, LOG, True),
        ({"topics": [None, None, None]}, LOG, False),
        ({"topics": [None]}, BARE, False),
        ({"address": OTHER, "topics": [A]}, LOG, False),
    ],
)
def test_filter_reads_addresses_and_topics_as_geth_does(
    criteria: dict[str, Any], log: dict[str, Any], matches: bool
) -> None:
    assert parse_log_filter(criteria).matches(log) is matches


@pytest.mark.parametrize(
    "criteria",
    [
        {"address": "0x12"},
        {"address": A},
        {"address": 5},
        {"address": [TOKEN, "0xzz"]},
        {"address": "aa" * 20},
        {"topics": A},
        {"topics": ["0x12"]},
        {"topics": [[A, TOKEN]]},
        {"topics": [None] * 5},
        {"topics": [{"a": 1}]},
    ],
)
def test_malformed_filter_is_refused(criteria: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_log_filter(criteria)
