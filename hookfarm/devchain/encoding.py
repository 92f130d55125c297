"""Encodings of Ethereum: JSON-RPC's hexadecimal values, RLP, and the root of a trie.

Hexadecimal (execution-apis, "Hex value encoding"): a quantity is a number without leading zeros (`0x0`, `0x41`);
data is bytes of two digits each (`0x`, `0x0041`). Parsing raises ValueError with geth's messages, so that clients
get the same errors as in production.

RLP (yellow paper, appendix B) is only encoded. A block of 500 logs needs 20,000 encodings. The package `rlp` takes
25 µs for one log, and 0.3 s to import.

The trie (appendix D) is ordered: transactionsRoot, receiptsRoot, withdrawalsRoot. The value at position i has the
key rlp(i). No such key is a prefix of another one, so a branch never has a value.
"""

import re
from collections.abc import Sequence
from typing import TypeAlias

from eth_hash.auto import keccak

QUANTITY = re.compile(r"0x(0|[1-9a-fA-F][0-9a-fA-F]*)\Z")
DATA = re.compile(r"0x([0-9a-fA-F]{2})*\Z")


def to_quantity(number: int) -> str:
    return hex(number)


def to_data(value: bytes) -> str:
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
    """Parse hexadecimal data. Raises ValueError for invalid data, or a number of bytes other than `length`."""
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


RlpItem: TypeAlias = "bytes | int | Sequence[RlpItem]"
"""Bytes, a non-negative number (big-endian without leading zeros, zero is empty), or a list."""

STRING = 0x80
LIST = 0xC0
SHORT = 56
"""Shorter lengths fit into the prefix byte."""

_SHORT_STRING = [bytes((STRING + length,)) for length in range(SHORT)]
_SHORT_LIST = [bytes((LIST + length,)) for length in range(SHORT)]


def rlp_encode(item: RlpItem) -> bytes:
    if isinstance(item, bytes):
        length = len(item)
        if length == 1 and item[0] < STRING:
            return item
        return (_SHORT_STRING[length] if length < SHORT else _long_prefix(STRING, length)) + item
    if isinstance(item, int):
        return rlp_encode(item.to_bytes((item.bit_length() + 7) // 8, "big"))
    return rlp_encode_list([rlp_encode(member) for member in item])


def rlp_encode_list(encoded: Sequence[bytes]) -> bytes:
    """Return the RLP of a list of encoded members."""
    body = b"".join(encoded)
    length = len(body)
    return (_SHORT_LIST[length] if length < SHORT else _long_prefix(LIST, length)) + body


def _long_prefix(offset: int, length: int) -> bytes:
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((offset + SHORT - 1 + len(size),)) + size


EMPTY_ROOT = keccak(rlp_encode(b""))

_Leaf = tuple[bytes, bytes]
"""Remaining nibbles of the key, one per byte, and the value."""


def ordered_root(values: Sequence[bytes]) -> bytes:
    """Return the 32-byte root over encoded `values`."""
    if not values:
        return EMPTY_ROOT
    leaves = [(_nibbles(rlp_encode(index)), value) for index, value in enumerate(values)]
    return keccak(_node(leaves))


def _node(leaves: list[_Leaf]) -> bytes:
    if len(leaves) == 1:
        key, value = leaves[0]
        return rlp_encode_list([rlp_encode(_compact(key, leaf=True)), rlp_encode(value)])
    shared = _shared_prefix(leaves)
    if shared:
        below = _reference(_node([(key[len(shared) :], value) for key, value in leaves]))
        return rlp_encode_list([rlp_encode(_compact(shared, leaf=False)), below])
    return _branch(leaves)


def _branch(leaves: list[_Leaf]) -> bytes:
    children: list[list[_Leaf]] = [[] for _ in range(16)]
    for key, value in leaves:
        children[key[0]].append((key[1:], value))
    members = [_reference(_node(child)) if child else b"\x80" for child in children]
    return rlp_encode_list([*members, b"\x80"])


def _reference(node: bytes) -> bytes:
    """Return a node's reference in its parent: the node itself below 32 bytes, else its hash."""
    return node if len(node) < 32 else b"\xa0" + keccak(node)


def _shared_prefix(leaves: list[_Leaf]) -> bytes:
    first, last = min(leaves)[0], max(leaves)[0]
    length = 0
    while length < len(first) and first[length] == last[length]:
        length += 1
    return first[:length]


def _nibbles(key: bytes) -> bytes:
    return bytes(nibble for byte in key for nibble in (byte >> 4, byte & 15))


def _compact(nibbles: bytes, *, leaf: bool) -> bytes:
    """Return the hex-prefix encoding: two flags (leaf, odd length) before the packed nibbles."""
    flags = 2 if leaf else 0
    padded = bytes((flags + 1,)) + nibbles if len(nibbles) % 2 else bytes((flags, 0)) + nibbles
    return bytes(high << 4 | low for high, low in zip(padded[::2], padded[1::2], strict=True))
