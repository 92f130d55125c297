"""The 2048-bit bloom filter of logs in receipts and headers (yellow paper, section 4.3.1, M3:2048).

Each address and each topic sets three bits: the low 11 bits of the first three 16-bit words of its keccak. The
filter of a block is the union over its logs. Filters are big-endian numbers.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, reduce
from operator import or_
from struct import Struct

BYTES = 256
CACHE_SIZE = 32_768
"""Max cached values; accounts recur. About 12 MB when full."""

_BITS = tuple(1 << bit for bit in range(8 * BYTES)) * 32
"""The bit of a 16-bit word, of which the low 11 bits count."""
_words = Struct(">HHH").unpack_from


def _fastest_keccak() -> Callable[[bytes], bytes]:
    """Return a Keccak in C (0.7 µs per new account) if installed, else the one of eth-hash (5 µs)."""
    try:
        # Optional, in C.
        from sha3 import keccak_256  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        from eth_hash.auto import keccak  # A dependency of web3, always installed.

        return keccak
    return lambda value: keccak_256(value).digest()


keccak = _fastest_keccak()


def _bits(value: bytes) -> int:
    words: tuple[int, int, int] = _words(keccak(value))
    return _BITS[words[0]] | _BITS[words[1]] | _BITS[words[2]]


bits_of = lru_cache(maxsize=CACHE_SIZE)(_bits)
"""The three bits of one address or topic."""


@lru_cache(maxsize=CACHE_SIZE)
def bits_of_hex(value: str) -> int:
    """Return the three bits of a value `0x…`. Raises ValueError for invalid hexadecimal."""
    return _bits(bytes.fromhex(value[2:]))


def of_log(address: bytes, topics: Sequence[bytes]) -> int:
    bloom = bits_of(address)
    for topic in topics:
        bloom |= bits_of(topic)
    return bloom


def of_values(values: Iterable[str]) -> int:
    """Return the bloom of addresses and topics in hexadecimal; duplicates have no effect."""
    return union(map(bits_of_hex, values))


def union(blooms: Iterable[int]) -> int:
    return reduce(or_, blooms, 0)


def to_bytes(bloom: int) -> bytes:
    return bloom.to_bytes(BYTES, "big")
