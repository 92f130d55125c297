"""Transfers in the index: as logs whose topics are `from` and `to`, in tables of their own.

A subscription's `from` and `to`, in its lists or its condition, become part of the key; a bound on `value` is
looked up as a bound on an event's argument is. So a transfer costs a look-up for each of a few shapes.
"""

from hookfarm.abi.abi_types import NATIVE_TRANSFER, EventSignature
from hookfarm.matching.decoder import DecodedLog, DecodedLogs, WebhookEventField
from hookfarm.matching.filters import Filter, Log, build_filter, split_condition
from hookfarm.records import ChainEvent, Subscription, Transfer

FROM, TO = 1, 2
"""The dimensions; 0 is a log's address, and a transfer has none."""
TOPICS = 2
ADDRESS_DIGITS = 40


class DecodedTransfer(DecodedLogs):
    """A transfer's values, for conditions. A webhook contains the transfer itself, and no `event`."""

    def __init__(self, transfer: Transfer) -> None:
        values = [int(transfer["from"], 16), int(transfer["to"], 16), int(transfer["value"])]
        self._transfer = DecodedLog(NATIVE_TRANSFER, values)

    def decode(self, signature: EventSignature) -> DecodedLog | None:
        return self._transfer

    def as_json(self, signature: EventSignature) -> WebhookEventField | None:
        return None


def decoded_logs_of(event: ChainEvent) -> DecodedLogs:
    return DecodedTransfer(event) if "kind" in event else DecodedLogs(event)


def dimensions(transfer: Transfer) -> Log:
    return ("", transfer["from"], transfer["to"])


def compile_transfer(endpoint: str, position: int, subscription: Subscription) -> Filter:
    """Compile a subscription to transfers. Raises InvalidInput if its condition is wrong.

    Where both a list and the condition restrict an address, the shorter of them becomes part of the key.
    """
    condition = split_condition(subscription.where, NATIVE_TRANSFER)
    lists = {FROM: subscription.senders, TO: subscription.recipients}
    allowed: dict[int, tuple[str, ...]] = {}
    extra: list[tuple[int, frozenset[str]]] = []
    for dimension, listed in lists.items():
        in_condition = tuple(map(_address, condition.topics.get(dimension - 1, ())))
        choices = sorted(filter(None, (listed, in_condition)), key=len)
        if choices:
            allowed[dimension] = choices[0]
        extra += [(dimension, frozenset(longer)) for longer in choices[1:]]
    bounds = (TOPICS, TOPICS)
    return build_filter(endpoint, position, subscription, NATIVE_TRANSFER, condition, allowed, bounds, extra)


def _address(word: str) -> str:
    return f"0x{word[-ADDRESS_DIGITS:]}"
