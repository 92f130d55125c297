"""Values of one word: every elementary type but `string` and `bytes`, in a topic or in the data.

Most events have no others, and for them eth_abi, which this reads as strictly as, takes ten times as long: it
would be most of what a log costs that a condition is about. Words come as 64 hexadecimal digits.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from eth_abi.exceptions import NonEmptyPaddingBytes

from hookfarm.abi.abi_types import TUPLE, AbiType

WORD_DIGITS = 64
ReadWord = Callable[[str], Any]
"""Raises eth_abi's NonEmptyPaddingBytes if the word is not the canonical encoding of a value of the type."""


def word_reader(kind: AbiType) -> ReadWord | None:
    """Return None if a value of the type is not exactly one word."""
    if kind.sizes or kind.base in (TUPLE, "string", "bytes"):
        return None
    if kind.base == "bool":
        return _boolean
    if kind.base.startswith("int"):
        return partial(_signed, 1 << (int(kind.base.removeprefix("int")) - 1))
    if kind.base.startswith(("bytes", "function")):
        size = 24 if kind.base == "function" else int(kind.base.removeprefix("bytes"))
        return partial(_left_aligned, 2 * size, "0" * (WORD_DIGITS - 2 * size))
    bits = 160 if kind.base == "address" else int(kind.base.removeprefix("uint"))
    return partial(_unsigned, bits)


def _unsigned(bits: int, word: str) -> int:
    value = int(word, 16)
    if value >> bits:
        raise NonEmptyPaddingBytes(word)
    return value


def _signed(limit: int, word: str) -> int:
    value = int(word, 16)
    if value >> 255:
        value -= 1 << 256
    if not -limit <= value < limit:
        raise NonEmptyPaddingBytes(word)
    return value


def _boolean(word: str) -> bool:
    return bool(_unsigned(1, word))


def _left_aligned(digits: int, padding: str, word: str) -> bytes:
    if word[digits:] != padding:
        raise NonEmptyPaddingBytes(word)
    return bytes.fromhex(word[:digits])
