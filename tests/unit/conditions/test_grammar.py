"""What is refused in a condition, where it is said to be, and that nothing else than a refusal ever comes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookfarm.abi.signature import parse as parse_signature
from hookfarm.conditions.condition import Condition
from hookfarm.conditions.grammar import MAX_COMPARISONS, MAX_DEPTH, parse
from hookfarm.conditions.literals import MAX_CHARACTERS
from hookfarm.errors import InvalidInput

PLAIN = "E(address from, uint256 value, uint8 small, int64 n, int256 big, bool ok, bytes4 four, bytes raw, "
DEEP = (
    "string name, uint256[] amounts, (address maker, uint16[3] xs) order, function f, string[2][] grid, uint256)"
)
SIGNATURE = parse_signature(PLAIN + DEEP)
HASHED = parse_signature("H(string indexed tag, (uint256 a) indexed pair, uint8[] indexed list)")
ACCOUNT = "0x" + "aB" * 20


def condition(text: str) -> Condition:
    return parse(text, SIGNATURE)


def refused(text: str, signature: object = SIGNATURE) -> str:
    with pytest.raises(InvalidInput) as caught:
        parse(text, signature)  # type: ignore[arg-type]
    assert caught.value.field == "where"
    assert "\n" not in caught.value.problem
    assert len(caught.value.problem) < 400
    return caught.value.problem


@pytest.mark.parametrize(
    ("text", "column", "allowed"),
    [
        ("", 1, "expected an argument or a literal"),
        (" \n ", 4, "expected an argument or a literal"),
        ("and", 1, "expected an argument or a literal"),
        ("value", 6, "expected ==, !=, <, <=, >, >=, in or not in"),
        ("value >", 8, "expected an argument or a literal"),
        ("value > 5 and", 14, "expected an argument or a literal"),
        ("value > 5 ok", 11, "expected and, or, or the end"),
        ("value > 5)", 10, "expected and, or, or the end"),
        ("(value > 5", 11, "expected and, or, or )"),
        ("1 < value < 5", 11, "do not chain"),
        ("value = 5", 7, "write =="),
        ("ok && ok", 4, "write and"),
        ("ok || ok", 4, "write or"),
        ("!ok", 1, "write not"),
        ("ok ; ok", 4, "this character is not allowed in a condition"),
        ("naïve == 1", 3, "this character is not allowed in a condition"),
        ("value == 1e18", 10, "numbers are whole"),
        ("value == 1.5", 11, "expected and, or, or the end"),
        ("value == 007", 10, "without leading zeros"),
        ("value == 1__0", 10, "numbers are whole"),
        ("value == 1_", 10, "numbers are whole"),
        ("value == 0xg", 10, "numbers are whole"),
        ("value == 0x", 10, "expected an integer from 0 to 2^256 - 1 (uint256)"),
        ("value == -1", 10, "expected an integer from 0 to 2^256 - 1 (uint256)"),
        ("value == - x", 12, "expected a number"),
        ("value == " + "9" * 5000, 10, "expected an integer from 0 to 2^256 - 1"),
        ("value == 0x1" + "0" * 64, 10, "expected an integer from 0 to 2^256 - 1"),
        ("value == 'x'", 10, "expected an integer"),
        ("value == true", 10, "expected an integer"),
        ("small == 256", 10, "expected an integer from 0 to 255 (uint8)"),
        ("256 > small", 1, "expected an integer from 0 to 255 (uint8)"),
        ("n == 9223372036854775808", 6, "from -9223372036854775808 to 9223372036854775807 (int64)"),
        ("big < -0x8" + "0" * 62 + "1", 7, "from -2^255 to 2^255 - 1 (int256)"),
        (f"from < {ACCOUNT}", 6, "an address has no order"),
        ("from == 0x12", 9, "an address, 0x and 40 hexadecimal digits"),
        (f"from == -{ACCOUNT}", 9, "an address, 0x and 40 hexadecimal digits"),
        ("from == value", 9, "a uint256 cannot be compared with an address"),
        ("from", 5, "expected =="),
        ("ok == 1", 7, "true or false"),
        ("ok < true", 4, "a bool has no order"),
        ("true", 5, "expected =="),
        ("four == 0x1234567", 9, "4 bytes, 0x and 8 hexadecimal digits"),
        ("raw == 0x123", 8, "two hexadecimal digits for each"),
        ("f == 0x", 6, "24 bytes, 0x and 48"),
        ("name == x", 9, "E has from, value, small"),
        ("name == 5", 9, "a text in quotes"),
        ("name < 'x'", 6, "a string has no order"),
        ("name == 'x", 9, "no closing quote"),
        ("name == 'x\n'", 9, "no closing quote"),
        ("name == 'a\\qb'", 11, "escapes are"),
        ("name == '\\ud800'", 10, "half a character"),
        ("name == '\ud800'", 10, "expected text"),
        ("name == '\x1b'", 10, "control characters are written"),
        ("ok\x00", 3, "expected text"),
        ("valeu == 1", 1, "E has from, value, small, n"),
        ("ok and valeu", 8, "E has from, value, small, n"),
        ("order == 1", 1, "a tuple cannot be compared"),
        ("order.taker == 1", 7, "this tuple has maker, xs"),
        ("order.5", 7, "expected the name of a member"),
        ("order[2] == 1", 7, "here to 1"),
        ("order.xs[3] == 1", 10, "positions in an array count from 0; here to 2"),
        ("amounts == 1", 1, "an array cannot be compared"),
        ("amounts[x] == 1", 9, "expected the position"),
        ("amounts[-1] == 1", 9, "expected the position"),
        ("amounts[1_0] == 1", 9, "positions in an array count from 0"),
        ("amounts[12345678901] == 1", 9, "positions in an array count from 0"),
        ("amounts[0 == 1", 11, "expected ]"),
        ("amounts.x == 1", 9, "positions in an array count from 0"),
        ("value[0] == 1", 7, "a uint256 has no members"),
        ("from.x == 1", 6, "an address has no members"),
        ("grid[0] == 'x'", 1, "an array cannot be compared"),
        ("length(value) > 1", 8, "a uint256 has no length"),
        ("length(order) > 1", 8, "a tuple has no length"),
        ("length(raw > 1", 12, "expected )"),
        ("length(5) > 1", 8, "expected an argument or a literal"),
        ("length > 1", 1, "E has from"),
        ("5 == 6", 1, "expected an argument on one side"),
        ("5 in (5)", 1, "expected an argument before in"),
        ("value in 5", 10, "expected a list"),
        ("value in ()", 11, "expected a literal"),
        ("value in (1, )", 14, "expected a literal"),
        ("value in (1]", 12, "expected , or )"),
        ("value in [1)", 12, "expected , or ]"),
        ("value in (1, small)", 14, "expected a literal"),
        ("small in (1, 256)", 14, "expected an integer from 0 to 255"),
        ("value not 5", 7, "expected =="),
        ("from in (5)", 10, "an address"),
        ("order in (5)", 1, "a tuple cannot be compared"),
        ("arg12 == 1", 1, "E has from"),
        ("(" * (MAX_DEPTH + 1), MAX_DEPTH + 1, "parentheses"),
        (" or ".join(["ok"] * (MAX_COMPARISONS + 1)), 6 * MAX_COMPARISONS + 1, "at most 256 comparisons"),
    ],
)
def test_what_is_wrong_is_said_with_its_column_and_what_is_allowed_there(
    text: str, column: int, allowed: str
) -> None:
    said = refused(text)
    assert f" at column {column}: " in said
    assert allowed in said


@pytest.mark.parametrize(
    ("text", "column", "allowed"),
    [
        ("tag < 'x'", 5, '==, != or in with "text"'),
        ("tag == tag", 1, '==, != or in with "text"'),
        ("length(tag) == 1", 8, '==, != or in with "text"'),
        ("tag[0] == 1", 5, '==, != or in with "text"'),
        ("pair == 1", 1, "a tuple has no literal"),
        ("pair.a == 1", 6, "a tuple has no literal"),
        ("list[0] == 1", 6, "an array has no literal"),
        ("length(list) == 1", 8, "an array has no literal"),
    ],
)
def test_an_argument_of_which_the_log_has_the_hash_is_only_compared_with_literals(
    text: str, column: int, allowed: str
) -> None:
    said = refused(text, HASHED)
    assert f" at column {column}: a log contains only the hash of this indexed argument" in said
    assert allowed in said


@pytest.mark.parametrize(
    "text",
    [
        f"value >= 1_000_000 and from == {ACCOUNT}",
        f"not (from != {ACCOUNT.upper().replace('X', 'x')} or ok) and not not ok",
        "value in (1, 0x2, 3) or value not in [4]",
        "order.maker != order[0] and order.xs[2] >= small",
        "length(amounts) > 0 and amounts[0] > 5 and length(name) < length(raw)",
        "0xffffffff == four and raw in [0x, 0X00] and arg13 <= 0",
        "n == -9223372036854775808 and n < -0x1 and 5 >= n",
        "grid[3][1] == 'it''' ".replace("''' ", "\\'s\\n' "),
        "(" * MAX_DEPTH + "ok" + ")" * MAX_DEPTH,
        "not " * 10_000 + "ok",
        " and ".join(["ok"] * MAX_COMPARISONS),
        f"from in ({', '.join([ACCOUNT] * 1400)})",
    ],
)
def test_what_the_grammar_has_is_taken(text: str) -> None:
    assert condition(text) == condition(text)


def test_a_hash_is_compared_with_a_literal_of_the_arguments_own_type() -> None:
    assert refused("tag == 5", HASHED) == "'5' at column 8: expected a text in quotes"
    assert parse("tag in ('x', 'y') or tag != 'z'", HASHED)


def test_a_condition_of_more_than_the_longest_length_is_refused() -> None:
    assert refused("ok" + " " * MAX_CHARACTERS).startswith(f"{MAX_CHARACTERS + 2} characters; at most")


def test_an_event_without_arguments_says_so() -> None:
    assert "Paused has no arguments" in refused("x == 1", parse_signature("Paused()"))


WORDS = st.sampled_from([
    "from", "value", "small", "n", "ok", "four", "raw", "name", "amounts", "order", "maker", "xs", "grid", "tag",
    "pair", "list", "length", "and", "or", "not", "in", "true", "false", "(", ")", "[", "]", ",", ".", "-", "==",
    "!=", "<", "<=", ">", ">=", "0", "1", "0x", "0x12345678", ACCOUNT, "'x'", '"\\n"', "'", "\\",
    "1_0", "=", "\n", "é",
])  # fmt: skip


@given(st.lists(WORDS, max_size=25).map(" ".join) | st.text(max_size=60) | st.text(st.characters(), max_size=20))
def test_any_text_is_a_condition_or_refused_in_one_line(text: str) -> None:
    for signature in (SIGNATURE, HASHED):
        try:
            parse(text, signature)
        except InvalidInput as refusal:
            said = str(refusal)
            assert said.startswith("where: ")
            assert "\n" not in said


VALID = f"value >= 10 and not (from == {ACCOUNT} or name in ('a', 'b')) and order.xs[1] != 3 or length(raw) > 2"
JUNK = st.sampled_from(["@", "é", "{", "unknown"])


@given(st.integers(0, len(VALID.split(" "))), JUNK)
def test_the_column_is_that_of_what_is_wrong(position: int, junk: str) -> None:
    words = VALID.split(" ")
    before = "".join(f"{word} " for word in words[:position])
    said = refused(" ".join([*words[:position], junk, *words[position:]]))
    assert f" at column {len(before) + 1}: " in said
