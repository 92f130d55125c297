"""Logs of contracts, for a devchain."""

from collections.abc import Sequence

from eth_hash.auto import keccak

from hookfarm.devchain.transaction import Log


def word(value: int | str) -> bytes:
    """Return 32 bytes: an integer (in two's complement), or an address."""
    number = int(value, 16) if isinstance(value, str) else value
    return (number % 2**256).to_bytes(32, "big")


def log(address: str, signature: str, indexed: Sequence[int | str], data: Sequence[int | str]) -> Log:
    """Return a log of `Transfer(address,address,uint256)` and the like."""
    topics = (keccak(signature.encode()), *map(word, indexed))
    return Log(bytes.fromhex(address.removeprefix("0x")), topics, b"".join(map(word, data)))
