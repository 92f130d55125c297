"""Tokens of a condition, errors with their columns, and the values of literals for an ABI type.

Columns count characters from 1.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from eth_hash.auto import keccak

from hookfarm.abi.abi_types import TUPLE, AbiType
from hookfarm.conditions.condition import Operand, Value
from hookfarm.errors import InvalidInput

MAX_CHARACTERS = 65_536
"""Enough for a list of 1,400 addresses; longer lists belong into `addresses` or `topics`."""

MAX_CUT_CHARACTERS, MAX_CUT_NUMBERS = 1024, 32
"""Limits of conditions that are cached by form: long lists would each be a different form."""

NAME, NUMBER, TEXT, MARK, END, OTHER = "name", "number", "text", "mark", "end", "other"
_KINDS = (NAME, NUMBER, TEXT, MARK, END, OTHER)
_TOKEN = re.compile(
    r"""[ \t\r\n]*(?:
    ([A-Za-z_$][A-Za-z0-9_$]*)
    | ([0-9][A-Za-z0-9_$]*)
    | ("(?:[^"\\\r\n]|\\.)*" | '(?:[^'\\\r\n]|\\.)*')
    | (==|!=|<=|>=|[<>()\[\],.-])
    | (\Z)
    | (.)
    )""",
    re.DOTALL | re.VERBOSE,
)
_NUMBER = re.compile(r"(?<![A-Za-z0-9_$])([0-9][A-Za-z0-9_$]*)")
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_ADVICE = {
    "=": "write == for equality",
    "&": "write and",
    "|": "write or",
    "!": "write not, or != between two values",
    '"': "this text has no closing quote on its line",
    "'": "this text has no closing quote on its line",
}


@dataclass(frozen=True, slots=True)
class Token:
    """A token: its `kind` (a constant of this module), its source text, and its column."""

    kind: str
    text: str
    column: int

    def __str__(self) -> str:
        return "the end" if self.kind == END else repr(self.text if len(self.text) <= 40 else f"{self.text[:39]}…")


def error_at(found: object, column: int, allowed: str) -> InvalidInput:
    """Return the error for `found` at `column`, with the allowed input."""
    return InvalidInput("where", f"{found} at column {column}: {allowed}")


def unexpected_token(token: Token, allowed: str) -> InvalidInput:
    """Return the error for a token, with the allowed input."""
    return error_at(token, token.column, allowed)


def tokenize(text: str) -> list[Token]:
    """Return the tokens of `text`, END last. Raises InvalidInput for invalid text."""
    if len(text) > MAX_CHARACTERS:
        raise InvalidInput("where", f"{len(text)} characters; at most {MAX_CHARACTERS} are allowed")
    if bad := _UNWRITABLE.search(text):
        raise error_at(repr(bad[0]), bad.start() + 1, r"expected text; control characters are written as \u0000")
    found: list[Token] = []
    for match in _TOKEN.finditer(text):
        group = match.lastindex or 0
        token = Token(_KINDS[group - 1], match[group], match.start(group) + 1)
        if token.kind == OTHER:
            raise unexpected_token(token, _ADVICE.get(token.text, "this character is not allowed in a condition"))
        found.append(token)
        if token.kind == END:
            break
    return found


def cut_numbers(text: str) -> tuple[str, list[str]] | None:
    """Return `text` with each number replaced by 0, and the numbers.

    None for more than MAX_CUT_NUMBERS numbers, and for quoted texts, which may contain digits.
    """
    if '"' in text or "'" in text or len(text) > MAX_CUT_CHARACTERS:
        return None
    parts = _NUMBER.split(text)
    numbers = parts[1::2]
    return ("0".join(parts[::2]), numbers) if len(numbers) <= MAX_CUT_NUMBERS else None


BOOLEANS = {"true": True, "false": False}
_DECIMAL = re.compile(r"0|[1-9][0-9]*(?:_[0-9]+)*")
_HEX = re.compile(r"0[xX]([0-9a-fA-F]*)")
_ADDRESS = re.compile(r"0[xX][0-9a-fA-F]{40}")
_DIGITS = re.compile(r"0|[1-9][0-9]{0,76}")
_MAX_DIGITS = 78
"""Decimal digits of 2^256."""
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPED = {"\\": "\\", '"': '"', "'": "'", "n": "\n", "r": "\r", "t": "\t"}


@dataclass(frozen=True, slots=True)
class Literal:
    """A number, 0x…, text or boolean, as in the source; `minus` is the sign before a number."""

    token: Token
    minus: Token | None = None

    @property
    def column(self) -> int:
        return (self.minus or self.token).column

    def __str__(self) -> str:
        return f"'-{self.token.text[:40]}'" if self.minus else str(self.token)


def check_form(literal: Literal) -> None:
    """Raise InvalidInput for a literal that no type accepts."""
    token = literal.token
    if token.kind == NUMBER and not (_DECIMAL.fullmatch(token.text) or _HEX.fullmatch(token.text)):
        advice = "numbers are whole: 1000000, 1_000_000 or 0xf4240, without leading zeros"
        raise error_at(literal, literal.column, advice)
    if token.kind == TEXT:
        _text(token)


def is_integer(kind: AbiType) -> bool:
    return not kind.sizes and kind.base.startswith(("uint", "int"))


def is_comparable(kind: AbiType) -> bool:
    return not kind.sizes and kind.base != TUPLE


def value_beside(operand: Operand, literal: Literal) -> Value:
    """Return the value of a literal compared with `operand`. Raises InvalidInput if the type does not fit."""
    kind = operand.type
    if is_integer(kind):
        return _integer(kind, literal)
    if literal.minus is not None:
        raise error_at(literal, literal.column, f"expected {_expected(kind)}")
    token = literal.token
    if kind.base == "bool":
        value: Value | None = BOOLEANS.get(token.text)
    elif kind.base == "string":
        value = _text(token).encode() if token.kind == TEXT else None
    else:
        value = _bytes(kind, token)
    if value is None:
        raise unexpected_token(token, f"expected {_expected(kind)}")
    return "0x" + keccak(value).hex() if operand.is_hash and isinstance(value, bytes) else value


def number_reader(operand: Operand, is_negative: bool) -> Callable[[str], Value]:
    """Return a function from a number's text to its value when compared with `operand`.

    It raises InvalidInput without a meaningful column if the type does not fit.
    """
    lowest, highest = integer_range(operand.type) if is_integer(operand.type) else (1, 0)
    sign = -1 if is_negative else 1
    is_address = operand.type.base == "address" and not (operand.type.sizes or is_negative)

    def read(text: str) -> Value:
        if is_address and _ADDRESS.fullmatch(text):
            return int(text, 16)
        if _DIGITS.fullmatch(text) and lowest <= (value := sign * int(text)) <= highest:
            return value
        token = Token(NUMBER, text, 1)
        literal = Literal(token, token if is_negative else None)
        check_form(literal)
        return value_beside(operand, literal)

    return read


def _integer(kind: AbiType, literal: Literal) -> int:
    lowest, highest = integer_range(kind)
    value = _magnitude(literal.token)
    if value is not None and literal.minus:
        value = -value
    if value is None or not lowest <= value <= highest:
        raise error_at(literal, literal.column, f"expected {_expected(kind)}")
    return value


def _magnitude(token: Token) -> int | None:
    """Return the number of a token; None if it is not a number or exceeds 256 bits."""
    if token.kind != NUMBER:
        return None
    if found := _HEX.fullmatch(token.text):
        return int(found[1], 16) if 1 <= len(found[1]) <= 64 else None
    digits = token.text.replace("_", "")
    return int(digits) if len(digits) <= _MAX_DIGITS else None


def _bytes(kind: AbiType, token: Token) -> Value | None:
    found = _HEX.fullmatch(token.text) if token.kind == NUMBER else None
    size = byte_size(kind)
    if found is None or len(found[1]) % 2 or size not in (None, len(found[1]) // 2):
        return None
    raw = bytes.fromhex(found[1])
    return int.from_bytes(raw) if kind.base == "address" else raw


def byte_size(kind: AbiType) -> int | None:
    """Return the number of bytes of a type written as 0x…; None = any number."""
    if kind.base == "bytes":
        return None
    return {"address": 20, "function": 24}.get(kind.base) or int(kind.base.removeprefix("bytes"))


def integer_range(kind: AbiType) -> tuple[int, int]:
    bits = int(kind.base.lstrip("uint"))
    return (0, 2**bits - 1) if kind.base.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _text(token: Token) -> str:
    def character(match: re.Match[str]) -> str:
        escaped = match[1]
        value = chr(int(escaped[1:], 16)) if len(escaped) == 5 else _ESCAPED.get(escaped)
        column = token.column + 1 + match.start()
        if value is None:
            allowed = r"""escapes are \\ \" \' \n \r \t and \u with four hexadecimal digits"""
            raise error_at(repr(match[0]), column, allowed)
        if "\ud800" <= value <= "\udfff":
            raise error_at(repr(match[0]), column, "this is half a character; write the character itself")
        return value

    return _ESCAPE.sub(character, token.text[1:-1])


def _expected(kind: AbiType) -> str:
    if is_integer(kind):
        return f"an integer from {_range(kind)} ({kind.base})"
    if kind.base == "bool":
        return "true or false"
    if kind.base == "string":
        return "a text in quotes"
    size = byte_size(kind)
    if size is None:
        return "bytes, 0x and two hexadecimal digits for each"
    what = "an address" if kind.base == "address" else f"{size} bytes"
    return f"{what}, 0x and {2 * size} hexadecimal digits"


def _range(kind: AbiType) -> str:
    lowest, highest = integer_range(kind)
    if highest < 2**64:
        return f"{lowest} to {highest}"
    power = highest.bit_length()
    return f"{f'-2^{power}' if lowest else 0} to 2^{power} - 1"
