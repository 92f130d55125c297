"""The 2048-bit log filter of receipts and headers (yellow paper, section 4.3.1, M3:2048).

Each address and each topic sets three bits: the low 11 bits of the first three 16-bit words of its
keccak. The filter of a block is the union over its logs.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache

from eth_hash.auto import keccak

BYTES = 256


@lru_cache(maxsize=65_536)
def bits_of(value: bytes) -> int:
    """The three bits of one address or topic, as a number; cached, for accounts come again."""
    digest = keccak(value)
    return (
        1 << (int.from_bytes(digest[0:2], "big") & 2047)
        | 1 << (int.from_bytes(digest[2:4], "big") & 2047)
        | 1 << (int.from_bytes(digest[4:6], "big") & 2047)
    )


def of_log(address: bytes, topics: Sequence[bytes]) -> int:
    bloom = bits_of(address)
    for topic in topics:
        bloom |= bits_of(topic)
    return bloom


def union(blooms: Iterable[int]) -> int:
    result = 0
    for bloom in blooms:
        result |= bloom
    return result


def to_bytes(bloom: int) -> bytes:
    return bloom.to_bytes(BYTES, "big")
