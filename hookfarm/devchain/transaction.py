"""Logs, the transactions that emit them, and both as bytes.

Transactions are of type 2 (EIP-1559) and their hash is the keccak of their RLP. There are
no keys of the accounts here, so a signature cannot be valid: `r` is the sender's address and `s` is 1,
which makes the hash commit to the sender. The nonce is the number of transactions before this one
in the chain, of all senders.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from eth_hash.auto import keccak

from hookfarm.abi import bloom
from hookfarm.devchain.encoding import RlpItem, parse_data, rlp_encode
from hookfarm.errors import InvalidInput

TYPE = b"\x02"
BASE_FEE_PER_GAS = 1_000_000_000
"""Constant, as on several rollups: EIP-1559 would raise it without end under full blocks."""
PRIORITY_FEE_PER_GAS = 0
MAX_FEE_PER_GAS = 2 * BASE_FEE_PER_GAS
GAS_BASE = 21_000
GAS_PER_LOG = 30_000
GAS_OF_CREATION = 32_000
SIGNATURE_S = 1
MAX_TOPICS = 4


@dataclass(frozen=True, slots=True)
class Log:
    """What a contract emits: 20 bytes of address, up to four topics of 32 bytes, any data."""

    address: bytes
    topics: tuple[bytes, ...]
    data: bytes

    @classmethod
    def parse(cls, address: str, topics: Sequence[str] = (), data: str = "0x") -> "Log":
        """From the hex forms of JSON; InvalidInput names the part that is wrong."""
        if len(topics) > MAX_TOPICS:
            raise InvalidInput("topics", f"{len(topics)} topics, at most {MAX_TOPICS} are allowed")
        return cls(
            _field("address", address, 20),
            tuple(_field(f"topics[{i}]", topic, 32) for i, topic in enumerate(topics)),
            _field("data", data, None),
        )

    def bloom(self) -> int:
        return bloom.of_log(self.address, self.topics)

    def encoded(self) -> bytes:
        return rlp_encode([self.address, self.topics, self.data])


@dataclass(frozen=True, slots=True)
class Call:
    """One call that emits logs or moves value, before a block gives it its nonce.

    An empty `to` creates a contract. A call that `fails` has no logs, and its `value` (in wei) stays where it was.
    """

    sender: bytes
    to: bytes
    input: bytes
    logs: tuple[Log, ...]
    value: int = 0
    fails: bool = False


@dataclass(frozen=True, slots=True)
class Transaction:
    """A call with its nonce and its hash; several blocks may contain it."""

    call: Call
    nonce: int
    encoded: bytes
    hash: bytes

    @property
    def gas(self) -> int:
        return gas_of(self.call)

    @property
    def moves_value(self) -> bool:
        return self.call.value > 0 and not self.call.fails

    @property
    def created(self) -> bytes | None:
        """The address of the contract that it creates, also where that fails (yellow paper, section 7)."""
        if self.call.to:
            return None
        return keccak(rlp_encode([self.call.sender, self.nonce]))[12:]


def gas_of(call: Call) -> int:
    return GAS_BASE + GAS_PER_LOG * len(call.logs) + (0 if call.to else GAS_OF_CREATION)


def transaction_of(call: Call, nonce: int, chain_id: int) -> Transaction:
    fields: list[RlpItem] = [
        chain_id,
        nonce,
        PRIORITY_FEE_PER_GAS,
        MAX_FEE_PER_GAS,
        gas_of(call),
        call.to,
        call.value,
        call.input,
        [],
        0,
        int.from_bytes(call.sender, "big"),
        SIGNATURE_S,
    ]
    encoded = TYPE + rlp_encode(fields)
    return Transaction(call, nonce, encoded, keccak(encoded))


def call_of_logs(logs: Sequence[Log], sender: bytes) -> Call:
    """A bare call of the first log's contract, for logs that a test has made up."""
    return Call(sender, logs[0].address, b"", tuple(logs))


def _field(name: str, text: str, length: int | None) -> bytes:
    try:
        return parse_data(text, length)
    except ValueError as problem:
        raise InvalidInput(name, f"{text!r}: {problem}") from problem
