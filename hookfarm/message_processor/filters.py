"""A subscription as the index holds it: which logs it wants, and under which keys they are found.

A log has five dimensions: its address and topics 0 to 3. A filter allows some of them a few values, all
others any, and wants a number of topics within bounds:

- `topics` of n positions want at least n topics, as in `eth_getLogs`, null positions included (go-ethereum,
  eth/filters, filterLogs);
- an event with `indexed` parameters wants exactly as many topics as it declares, so that an ERC-721 Transfer
  is not taken for the ERC-20 one of the same topic0;
- an event's short form wants topic0 alone; an anonymous event has no topic0 and only its number of topics.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from hookfarm.abi.abi_types import EventSignature
from hookfarm.abi.signature import parse
from hookfarm.records import Event, Subscription

MAX_TOPICS = 4
KEYS_PER_VALUE = 16
"""A filter may stand under this many keys for each value it lists, so that lists multiplied by lists
cannot make a small subscription a large index."""
_BY_SELECTIVITY = (0, 2, 3, 4, 1)
"""Dimensions in the order in which they become part of the key: topic0 last, which many logs share."""


@dataclass(frozen=True)
class Shape:
    """What the filters of one table share: the dimensions of their key, the bounds of the topic count."""

    dimensions: tuple[int, ...]
    fewest: int
    most: int

    def key(self, log: tuple[str, ...]) -> tuple[str, ...]:
        return tuple([log[dimension] for dimension in self.dimensions])


@dataclass(frozen=True, eq=False)
class Filter:
    """One compiled subscription. `position` is its place in its endpoint's list.

    `unkeyed`: the dimensions that its keys leave out and that are compared after the look-up.
    """

    endpoint: str
    position: int
    subscription: Subscription
    signature: EventSignature | None
    shape: Shape
    unkeyed: tuple[tuple[int, frozenset[str]], ...]

    def table_keys(self) -> Iterator[tuple[str, ...]]:
        """Every key under which the index holds it, each once."""
        allowed = _allowed(self.subscription, self.signature)
        return product(*(allowed[dimension] for dimension in self.shape.dimensions))

    def admits(self, log: tuple[str, ...]) -> bool:
        """Whether a log found under one of its keys is also right in the other dimensions."""
        return all(log[dimension] in values for dimension, values in self.unkeyed)


def dimensions(event: Event) -> tuple[str, ...]:
    """Address and topics."""
    return (event["address"], *event["topics"])


def compile_filter(endpoint: str, position: int, subscription: Subscription) -> Filter:
    """InvalidInput where the subscription's event signature is wrong."""
    signature = None if subscription.event is None else parse(subscription.event)
    allowed = _allowed(subscription, signature)
    keyed = _keyed(allowed)
    fewest, most = _topic_bounds(subscription, signature)
    unkeyed = tuple((d, frozenset(values)) for d, values in allowed.items() if d not in keyed)
    return Filter(endpoint, position, subscription, signature, Shape(keyed, fewest, most), unkeyed)


def _allowed(subscription: Subscription, signature: EventSignature | None) -> dict[int, tuple[str, ...]]:
    """The values of each restricted dimension."""
    allowed = {0: subscription.addresses}
    if signature is not None and signature.topic0 is not None:
        allowed[1] = (signature.topic0,)
    for position, choices in enumerate(subscription.topics or ()):
        allowed[position + 1] = choices or ()
    return {dimension: tuple(dict.fromkeys(values)) for dimension, values in allowed.items() if values}


def _keyed(allowed: dict[int, tuple[str, ...]]) -> tuple[int, ...]:
    """The dimensions that make the key: as many as keep the number of keys in proportion."""
    most = KEYS_PER_VALUE * sum(map(len, allowed.values()))
    keyed: list[int] = []
    count = 1
    for dimension in _BY_SELECTIVITY:
        if dimension in allowed and count * len(allowed[dimension]) <= most:
            count *= len(allowed[dimension])
            keyed.append(dimension)
    return tuple(keyed)


def _topic_bounds(subscription: Subscription, signature: EventSignature | None) -> tuple[int, int]:
    if signature is None:
        return len(subscription.topics or ()), MAX_TOPICS
    if signature.is_short_form:
        return 1, MAX_TOPICS
    return signature.topic_count, signature.topic_count
