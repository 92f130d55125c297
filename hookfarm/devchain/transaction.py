"""Logs, transactions that emit them, their encodings, and the generated contents of blocks.

Transactions are of type 2 (EIP-1559); their hash is the keccak of their RLP. Accounts have no keys, so signatures
are not valid: `r` is the sender's address and `s` is 1, which makes the hash commit to the sender. The nonce is
the number of earlier transactions of all senders in the chain.

Token transfers (ERC-20 logs) and native transfers (of the chain's currency) are a function of seed, height and
branch. Accounts and tokens come from small fixed populations. One native transfer in eight fails, and one in
sixteen creates a contract with the value.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from eth_hash.auto import keccak

from hookfarm.abi import bloom
from hookfarm.devchain.encoding import RlpItem, parse_data, rlp_encode
from hookfarm.errors import InvalidInput

TYPE = b"\x02"
BASE_FEE_PER_GAS = 1_000_000_000
"""Constant, as on several rollups; under EIP-1559 full blocks would raise it without limit."""
PRIORITY_FEE_PER_GAS = 0
MAX_FEE_PER_GAS = 2 * BASE_FEE_PER_GAS
GAS_BASE = 21_000
GAS_PER_LOG = 30_000
GAS_OF_CREATION = 32_000
SIGNATURE_S = 1
MAX_TOPICS = 4


@dataclass(frozen=True, slots=True)
class Log:
    """A log of a contract: 20 bytes of address, up to four topics of 32 bytes, any data."""

    address: bytes
    topics: tuple[bytes, ...]
    data: bytes

    @classmethod
    def parse(cls, address: str, topics: Sequence[str] = (), data: str = "0x") -> "Log":
        """Parse the hex values of JSON. Raises InvalidInput with the invalid field."""
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
    """An EVM message call that emits logs or moves value, before it becomes a transaction.

    An empty `to` creates a contract. A call that `fails` emits no logs and moves no `value` (in wei).
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
        """The address of the contract that it creates, even if it fails; else None (yellow paper, section 7)."""
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
    """Return a call of the first log's contract that emits these logs."""
    return Call(sender, logs[0].address, b"", tuple(logs))


def _field(name: str, text: str, length: int | None) -> bytes:
    try:
        return parse_data(text, length)
    except ValueError as problem:
        raise InvalidInput(name, f"{text!r}: {problem}") from problem


TRANSFER_TOPIC = keccak(b"Transfer(address,address,uint256)")
TRANSFER_SELECTOR = keccak(b"transfer(address,uint256)")[:4]
ACCOUNTS = 256
TOKENS = 4
MAX_TOKEN_VALUE = 10**24
"""A million tokens of 18 decimals: mostly above 2^53, so that tests cover big numbers."""


def token_transfers(seed: int, number: int, branch: int, count: int) -> list[Call]:
    """Return `count` calls of `transfer(to, value)`, each emitting one Transfer."""
    draw = random.Random(f"{seed}/{number}/{branch}")
    return [_transfer(draw) for _ in range(count)]


def _transfer(draw: random.Random) -> Call:
    token = token_address(draw.randrange(TOKENS))
    sender, recipient = draw.randrange(ACCOUNTS), draw.randrange(ACCOUNTS)
    value = draw.randrange(1, MAX_TOKEN_VALUE).to_bytes(32, "big")
    topics = (TRANSFER_TOPIC, account_topic(sender), account_topic(recipient))
    call_data = TRANSFER_SELECTOR + topics[2] + value
    return Call(account(sender), token, call_data, (Log(token, topics, value),))


@lru_cache(maxsize=ACCOUNTS)
def account(index: int) -> bytes:
    return keccak(f"devchain account {index}".encode())[12:]


@lru_cache(maxsize=ACCOUNTS)
def account_topic(index: int) -> bytes:
    """Return an account's address as an indexed argument: left-padded to 32 bytes."""
    return bytes(12) + account(index)


@lru_cache(maxsize=TOKENS)
def token_address(index: int) -> bytes:
    return keccak(f"devchain token {index}".encode())[12:]


MAX_NATIVE_VALUE = 10**21
"""A thousand ether: mostly above 2^53, so that tests cover big numbers."""
ONE_FAILS_IN = 8
ONE_CREATES_IN = 16
CREATION_CODE = bytes.fromhex("00")
"""STOP: creates a contract without code."""


def with_native_transfers(calls: Sequence[Call], seed: int, number: int, branch: int, count: int) -> list[Call]:
    """Return the calls mixed with `count` native transfers; unchanged if `count` is 0."""
    if count == 0:
        return list(calls)
    draw = random.Random(f"{seed}/{number}/{branch}/payments")
    found = [*calls, *(_drawn(draw) for _ in range(count))]
    draw.shuffle(found)
    return found


def native_transfer(sender: bytes, to: bytes, value: int, *, fails: bool = False) -> Call:
    """Return a call that moves `value` wei to an account, or to a new contract if `to` is empty."""
    return Call(sender, to, b"" if to else CREATION_CODE, (), value, fails)


def _drawn(draw: random.Random) -> Call:
    sender, recipient = account(draw.randrange(ACCOUNTS)), account(draw.randrange(ACCOUNTS))
    fails, creates = draw.randrange(ONE_FAILS_IN) == 0, draw.randrange(ONE_CREATES_IN) == 0
    return native_transfer(sender, b"" if creates else recipient, draw.randrange(1, MAX_NATIVE_VALUE), fails=fails)
