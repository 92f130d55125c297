"""Checks of single fields, which return the checked value or raise InvalidInput; and random ids."""

import re
import secrets
from collections.abc import Mapping
from typing import Any

from hookfarm.errors import InvalidInput
from hookfarm.security import redaction

MAX_UINT64 = 2**64 - 1

ADDRESS = re.compile(r"0x[0-9a-f]{40}")
BYTES32 = re.compile(r"0x[0-9a-f]{64}")
DATA = re.compile(r"0x(?:[0-9a-f]{2})*")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
"""Python's replacement for command-line bytes that are not UTF-8; not valid in records."""


_KINDS = {str: "a string", list: "a list", tuple: "a list", bool: "a boolean", type(None): "null"}
_KINDS |= {int: "a number", float: "a number"}


def mapping(raw: object, what: str) -> Mapping[str, Any]:
    if not isinstance(raw, Mapping):
        # Without the value, which may be a line of headers.
        raise InvalidInput(what, f"{_KINDS.get(type(raw), 'this')} is not a JSON object")
    return raw


def refuse_unknown(record: Mapping[str, Any], known: set[str]) -> None:
    for name in record:
        if name not in known:
            raise InvalidInput(shorten(name).strip("'\""), f"unknown field; known: {', '.join(sorted(known))}")


def text(record: Mapping[str, Any], field: str, max_length: int) -> str:
    value = record.get(field)
    if not isinstance(value, str) or len(value) > max_length:
        raise InvalidInput(field, f"{shorten(value)} is not a string of at most {max_length} characters")
    if _SURROGATE.search(value):
        raise InvalidInput(field, f"{shorten(value)} is not UTF-8")
    return value


def boolean(record: Mapping[str, Any], field: str) -> bool:
    value = record.get(field)
    if not isinstance(value, bool):
        raise InvalidInput(field, f"{shorten(value)} is not true or false")
    return value


def count(record: Mapping[str, Any], field: str, low: int = 0) -> int:
    value = record.get(field)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= MAX_UINT64:
        raise InvalidInput(field, f"{shorten(value)} is not a whole number from {low}")
    return value


def hex_text(record: Mapping[str, Any], field: str, pattern: re.Pattern[str], what: str) -> str:
    return hex_value(record.get(field), field, pattern, what)


def hex_value(value: object, field: str, pattern: re.Pattern[str], what: str) -> str:
    lowered = value.lower() if isinstance(value, str) else ""
    if not pattern.fullmatch(lowered):
        raise InvalidInput(field, f"{shorten(value)} is not 0x… hexadecimal of {what}")
    return lowered


def shorten(value: object) -> str:
    """Return a value for an error message: at most 80 characters, without secrets."""
    try:
        shown = repr(value)
    except RecursionError:
        shown = f"a deeply nested {type(value).__name__}"
    shown = redaction.sanitize(shown)
    return shown if len(shown) <= 80 else f"{shown[:77]}…"


def new_endpoint_id() -> str:
    """Return a random id: `ep_` and 24 hexadecimal digits."""
    return f"ep_{secrets.token_hex(12)}"


def new_subscription_id() -> str:
    """Return a random id: `sub_` and 24 hexadecimal digits."""
    return f"sub_{secrets.token_hex(12)}"
