"""The header of a block as of Prague, and its hash.

Post-merge constants (EIP-3675: no uncles, difficulty and nonce zero), EIP-1559 base fee, EIP-4895
withdrawals (always none), EIP-4844 blob gas (always none), EIP-4788 beacon root (zero) and EIP-7685
requests (always none). A client that encodes the JSON fields again gets the same hash.
"""

import hashlib
from dataclasses import dataclass

from eth_hash.auto import keccak

from hookfarm.devchain import rlp
from hookfarm.devchain.trie import EMPTY_ROOT

EMPTY_UNCLES_HASH = keccak(rlp.encode([]))
EMPTY_REQUESTS_HASH = hashlib.sha256().digest()
ZERO_HASH = bytes(32)
NONCE = bytes(8)
MINER = bytes(20)

BASE_FEE_PER_GAS = 1_000_000_000
"""Constant, as on several rollups: EIP-1559 would raise it without end under full blocks."""

GAS_LIMIT = 1_000_000_000
"""Room for 10,000 transfers in a block."""


@dataclass(frozen=True, slots=True)
class Header:
    """What differs from block to block; hashes and roots are 32 bytes, `logs_bloom` is 256."""

    parent_hash: bytes
    number: int
    timestamp: int
    state_root: bytes
    transactions_root: bytes
    receipts_root: bytes
    logs_bloom: bytes
    gas_used: int
    extra_data: bytes
    mix_hash: bytes

    def encoded(self) -> bytes:
        """The header's RLP, in the order of the yellow paper (4.3.2) and the EIPs above."""
        return rlp.encode(
            [
                self.parent_hash,
                EMPTY_UNCLES_HASH,
                MINER,
                self.state_root,
                self.transactions_root,
                self.receipts_root,
                self.logs_bloom,
                0,
                self.number,
                GAS_LIMIT,
                self.gas_used,
                self.timestamp,
                self.extra_data,
                self.mix_hash,
                NONCE,
                BASE_FEE_PER_GAS,
                EMPTY_ROOT,
                0,
                0,
                ZERO_HASH,
                EMPTY_REQUESTS_HASH,
            ]
        )
