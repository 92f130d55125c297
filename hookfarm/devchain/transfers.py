"""Generated contents of blocks: ERC-20 transfers, and payments in the chain's own currency.

They are a function of the seed, the height and the branch. The same seed gives the same transfers at the same
height of the same branch; a block that replaces another one in a reorg is on another branch and contains others.
Accounts and tokens come from small fixed populations, as in life, where few addresses make most of the logs. One
payment in eight fails, one in sixteen creates a contract with the value.
"""

import random
from collections.abc import Sequence
from functools import lru_cache

from eth_hash.auto import keccak

from hookfarm.devchain.transaction import Call, Log

TRANSFER_TOPIC = keccak(b"Transfer(address,address,uint256)")
TRANSFER_SELECTOR = keccak(b"transfer(address,uint256)")[:4]
ACCOUNTS = 256
TOKENS = 4
MAX_TOKEN_VALUE = 10**24
"""A million tokens of 18 decimals: above 2^53, so that big numbers are the normal case."""


def transfers(seed: int, number: int, branch: int, count: int) -> list[Call]:
    """`count` calls of `transfer(to, value)`, each of which emits one Transfer."""
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
    """The account's address as an indexed argument: left-padded to 32 bytes."""
    return bytes(12) + account(index)


@lru_cache(maxsize=TOKENS)
def token_address(index: int) -> bytes:
    return keccak(f"devchain token {index}".encode())[12:]


MAX_PAYMENT_VALUE = 10**21
"""A thousand ether: above 2^53, so that big numbers are the normal case."""
ONE_FAILS_IN = 8
ONE_CREATES_IN = 16
CREATION_CODE = bytes.fromhex("00")
"""STOP: a contract without code."""


def with_payments(calls: Sequence[Call], seed: int, number: int, branch: int, count: int) -> list[Call]:
    """The calls with `count` payments among them; the calls as they were, where there are none."""
    if count == 0:
        return list(calls)
    draw = random.Random(f"{seed}/{number}/{branch}/payments")
    found = [*calls, *(_drawn(draw) for _ in range(count))]
    draw.shuffle(found)
    return found


def payment(sender: bytes, to: bytes, value: int, *, fails: bool = False) -> Call:
    """`value` wei, to an account or, where `to` is empty, to a new contract."""
    return Call(sender, to, b"" if to else CREATION_CODE, (), value, fails)


def _drawn(draw: random.Random) -> Call:
    sender, recipient = account(draw.randrange(ACCOUNTS)), account(draw.randrange(ACCOUNTS))
    fails, creates = draw.randrange(ONE_FAILS_IN) == 0, draw.randrange(ONE_CREATES_IN) == 0
    return payment(sender, b"" if creates else recipient, draw.randrange(1, MAX_PAYMENT_VALUE), fails=fails)
