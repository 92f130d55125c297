"""Transfers in the index: like logs with `from` and `to` as topics, in separate tables.

A subscription's `from` and `to`, from its lists or its condition, join the key. A bound on `value` is looked up
like a bound on an event's argument. So a transfer costs one look-up per shape, of which there are few.
"""

from hookfarm.abi.abi_types import NATIVE_TRANSFER, EventSignature
from hookfarm.matching.decoder import DecodedLog, DecodedLogs, WebhookEventField
from hookfarm.matching.filters import Filter, Log, build_filter, split_condition
from hookfarm.records import ChainEvent, Subscription, Transfer

FROM, TO = 1, 2
"""Dimensions of a transfer. Dimension 0, the address of a log, is empty."""
TOPICS = 2
ADDRESS_DIGITS = 40


class DecodedTransfer(DecodedLogs):
    """A transfer's values, for conditions. Its webhook has no `event`, only the transfer's fields."""

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
    """Compile a subscription to transfers. Raises InvalidInput for an invalid condition.

    If a list and the condition restrict the same address, the shorter one joins the key.
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
