"""Transfers in the index: as logs whose topics are `from` and `to`, in tables of their own.

A subscription's `from` and `to` become part of the key, as what its condition says of them does; a bound on
`value` is looked up as a bound on an event's argument is. So a transfer costs a look-up for each of a few shapes.
"""

from hookfarm.abi.abi_types import EventSignature
from hookfarm.abi.native_transfer import NATIVE_TRANSFER
from hookfarm.matching.decoder import Decoded, Meaning, Meanings
from hookfarm.matching.filters import Filter, Log, filter_of, narrowed
from hookfarm.records import ChainEvent, Subscription, Transfer

FROM, TO = 1, 2
"""The dimensions; 0 is a log's address, and a transfer has none."""
TOPICS = 2
ADDRESS_DIGITS = 40


class TransferMeanings(Meanings):
    """The values that conditions are about. A webhook shows the transfer as it is, and no event."""

    def __init__(self, transfer: Transfer) -> None:
        found = [int(transfer["from"], 16), int(transfer["to"], 16), int(transfer["value"])]
        self._meaning = Meaning(NATIVE_TRANSFER, found)

    def of(self, signature: EventSignature) -> Meaning | None:
        return self._meaning

    def under(self, signature: EventSignature) -> Decoded | None:
        return None


def meanings_of(event: ChainEvent) -> Meanings:
    return TransferMeanings(event) if "kind" in event else Meanings(event)


def dimensions(transfer: Transfer) -> Log:
    return ("", transfer["from"], transfer["to"])


def compile_transfer(endpoint: str, position: int, subscription: Subscription) -> Filter:
    """InvalidInput where the subscription's condition is wrong.

    Where both a list and the condition restrict an address, the shorter of them becomes part of the key.
    """
    said = narrowed(subscription.where, NATIVE_TRANSFER)
    lists = {FROM: subscription.senders, TO: subscription.recipients}
    allowed: dict[int, tuple[str, ...]] = {}
    besides: list[tuple[int, frozenset[str]]] = []
    for dimension, listed in lists.items():
        in_condition = tuple(map(_address, said.topics.get(dimension - 1, ())))
        choices = sorted(filter(None, (listed, in_condition)), key=len)
        if choices:
            allowed[dimension] = choices[0]
        besides += [(dimension, frozenset(longer)) for longer in choices[1:]]
    return filter_of(endpoint, position, subscription, NATIVE_TRANSFER, said, allowed, (TOPICS, TOPICS), besides)


def _address(word: str) -> str:
    return f"0x{word[-ADDRESS_DIGITS:]}"
