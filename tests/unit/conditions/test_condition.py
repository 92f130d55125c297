"""What a condition makes of the values of a log."""

from typing import Any

import pytest
from eth_hash.auto import keccak

from hookfarm.abi.signature import parse as parse_signature
from hookfarm.conditions.condition import compile_test, parameters_of
from hookfarm.conditions.grammar import parse

SIGNATURE = parse_signature(
    "E(address from, uint256 value, int8 n, bool ok, bytes4 four, bytes raw, string name, uint256[] amounts, "
    "(address maker, (bool b, string[] names)[2] inner) order, string indexed tag, bytes indexed blob)"
)
ACCOUNT = 0xABCDEF
VALUES: dict[str, Any] = {
    "from": ACCOUNT,
    "value": 2**256 - 1,
    "n": -5,
    "ok": True,
    "four": b"\x12\x34\x56\x78",
    "raw": b"\x01\x02",
    "name": 'é"'.encode(),
    "amounts": (10, 20),
    "order": (ACCOUNT, ((True, ()), (False, (b"x", b"y")))),
    "tag": "0x" + keccak(b"Alice").hex(),
    "blob": "0x" + keccak(b"\x01").hex(),
}


def holds(text: str, **changes: Any) -> bool:
    condition = parse(text, SIGNATURE)
    return compile_test(condition)(list({**VALUES, **changes}.values()), parameters_of(condition))


TRUE = [
    "from == 0x" + f"{ACCOUNT:040X}",
    "from != 0x" + "00" * 20,
    "value == 115792089237316195423570985008687907853269984665640564039457584007913129639935",
    "value >= 0x" + "f" * 64,
    "value > 1_000_000",
    "n == -5",
    "n < 0 and n > -6 and n <= -0x5 and n >= -5",
    "-5 == n and 0 > n and -6 < n and -5 >= n and -5 <= n",
    "ok",
    "not not ok",
    "ok == true and ok != false and ok in (true)",
    "four == 0x12345678",
    "four in [0x00000000, 0X12345678]",
    "raw == 0x0102 and raw != 0x",
    "name == 'é\"'",
    r'name == "\u00e9\""',
    "amounts[0] == 10 and amounts[1] == 20",
    "amounts[0] < amounts[1]",
    "amounts[1] != n",
    "order.maker == from",
    "order[0] == from and order[1][0].b and order.inner[0][0]",
    "order.inner[1].names[1] == 'y'",
    "length(amounts) == 2 and length(raw) == 2 and length(name) == 3 and length(order.inner[0].names) == 0",
    "length(order.inner) == 2",
    "tag == 'Alice' and tag != 'Bob' and tag in ('Bob', 'Alice') and tag not in ('Bob')",
    "blob == 0x01",
    "n == 0 or ok and n == -5",
    "not (n == 0 and ok)",
    "not n == 0",
    "ok or n == 0 and n == 1",
    "value\n>\t0",
]


@pytest.mark.parametrize("text", TRUE)
def test_a_condition_that_holds(text: str) -> None:
    assert holds(text)
    assert not holds(f"not ({text})")


@pytest.mark.parametrize("comparison", ["== 5", "!= 5", "< 5", "<= 5", "> 5", ">= 5", "in (5)", "not in (5)"])
def test_a_comparison_with_a_member_that_is_not_there_is_false(comparison: str) -> None:
    assert not holds(f"amounts[2] {comparison}")
    assert holds(f"not amounts[2] {comparison}")
    assert holds(f"ok or amounts[2] {comparison}")


@pytest.mark.parametrize("sign", ["==", "!=", "<", "<=", ">", ">="])
def test_a_comparison_of_two_members_of_which_one_is_not_there_is_false(sign: str) -> None:
    assert not holds(f"amounts[2] {sign} amounts[0]")
    assert not holds(f"amounts[0] {sign} amounts[2]")
    assert not holds(f"amounts[3] {sign} amounts[2]")


def test_the_length_of_what_is_not_there_is_no_number() -> None:
    assert not holds("length(order.inner[1].names[7]) == 0")
    assert not holds("length(order.inner[1].names[7]) != 0")


def test_a_text_that_is_not_utf_8_equals_nothing_that_can_be_written() -> None:
    assert holds("name != '0xff' and name != 'ÿ'", name=b"\xff")
