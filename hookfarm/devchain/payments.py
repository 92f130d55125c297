"""Transactions that move the chain's own currency, as a function of the seed, the height and the branch.

One in eight fails, one in sixteen creates a contract with the value.
"""

import random
from collections.abc import Sequence

from hookfarm.devchain.transaction import Call
from hookfarm.devchain.transfers import ACCOUNTS, account

MAX_VALUE = 10**21
"""A thousand ether: above 2^53, so that big numbers are the normal case."""
ONE_FAILS_IN = 8
ONE_CREATES_IN = 16
CREATION_CODE = bytes.fromhex("00")
"""STOP: a contract without code."""


def mixed(calls: Sequence[Call], seed: int, number: int, branch: int, count: int) -> list[Call]:
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
    return payment(sender, b"" if creates else recipient, draw.randrange(1, MAX_VALUE), fails=fails)
