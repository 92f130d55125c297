"""The two hexadecimal forms of Ethereum's JSON-RPC (execution-apis, "Hex value encoding").

A quantity is a number without leading zeros (`0x0`, `0x41`); data is bytes, two digits each
(`0x`, `0x0041`). Parsing raises ValueError with the words that geth uses, so that a client sees the
message it would see in production.
"""

import re

QUANTITY = re.compile(r"0x(0|[1-9a-fA-F][0-9a-fA-F]*)\Z")
DATA = re.compile(r"0x([0-9a-fA-F]{2})*\Z")


def quantity(number: int) -> str:
    return hex(number)


def data(value: bytes) -> str:
    return "0x" + value.hex()


def parse_quantity(text: object) -> int:
    if not isinstance(text, str):
        raise ValueError("cannot unmarshal non-string into a hex number")
    if QUANTITY.match(text):
        return int(text, 16)
    if not text.startswith("0x"):
        raise ValueError("hex string without 0x prefix")
    if len(text) > 2 and text[2] == "0":
        raise ValueError("hex number with leading zero digits")
    raise ValueError("invalid hex string")


def parse_data(text: object, length: int | None = None) -> bytes:
    """The bytes of `text`, exactly `length` of them where it is given."""
    if not isinstance(text, str):
        raise ValueError("cannot unmarshal non-string into hex data")
    if not text.startswith("0x"):
        raise ValueError("hex string without 0x prefix")
    if not DATA.match(text):
        raise ValueError("invalid hex string" if len(text) % 2 == 0 else "hex string of odd length")
    value = bytes.fromhex(text[2:])
    if length is not None and len(value) != length:
        raise ValueError(f"hex string has length {len(value) * 2}, want {length * 2}")
    return value
