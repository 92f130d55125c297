"""The 2048-bit log filter of receipts and headers (yellow paper, section 4.3.1, M3:2048).

Each address and each topic sets three bits: the low 11 bits of the first three 16-bit words of its
keccak. The filter of a block is the union over its logs. Filters are numbers here, the first byte first.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache

from eth_hash.auto import keccak

BYTES = 256
REMEMBERED = 32_768
"""Values whose bits are remembered: accounts come again, and a keccak takes 8 µs. About 12 MB when full."""


def _bits(value: bytes) -> int:
    digest = keccak(value)
    return (
        1 << (int.from_bytes(digest[0:2], "big") & 2047)
        | 1 << (int.from_bytes(digest[2:4], "big") & 2047)
        | 1 << (int.from_bytes(digest[4:6], "big") & 2047)
    )


bits_of = lru_cache(maxsize=REMEMBERED)(_bits)
"""The three bits of one address or topic."""


@lru_cache(maxsize=REMEMBERED)
def bits_of_hex(value: str) -> int:
    """As `bits_of`, for `0x…`; ValueError where that is no hexadecimal."""
    return _bits(bytes.fromhex(value[2:]))


def of_log(address: bytes, topics: Sequence[bytes]) -> int:
    bloom = bits_of(address)
    for topic in topics:
        bloom |= bits_of(topic)
    return bloom


def of_values(values: Iterable[str]) -> int:
    """The filter of addresses and topics in hexadecimal; each value given once is enough."""
    bloom = 0
    for value in values:
        bloom |= bits_of_hex(value)
    return bloom


def union(blooms: Iterable[int]) -> int:
    result = 0
    for bloom in blooms:
        result |= bloom
    return result


def to_bytes(bloom: int) -> bytes:
    return bloom.to_bytes(BYTES, "big")
