"""A subscription as the index holds it: which logs it wants, and under which keys they are found.

A log has five dimensions: its address and topics 0 to 3. A filter allows some of them a few values, all
others any, and wants a number of topics within bounds:

- `topics` of n positions want at least n topics, as in `eth_getLogs`, null positions included (go-ethereum,
  eth/filters, filterLogs);
- an event with `indexed` parameters wants exactly as many topics as it declares, so that an ERC-721 Transfer
  is not taken for the ERC-20 one of the same topic0;
- an event's short form wants topic0 alone; an anonymous event has no topic0 and only its number of topics;
- a condition wants a log that decodes, and what it says of indexed arguments restricts their topics.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from operator import itemgetter

from hookfarm.abi.abi_types import EventSignature
from hookfarm.abi.signature import parse
from hookfarm.conditions.evaluation import Test
from hookfarm.errors import InvalidInput
from hookfarm.matching.decoder import Meanings
from hookfarm.matching.history import letters
from hookfarm.matching.where_index import Lookup, Narrowed, narrow
from hookfarm.records import Event, Subscription

MAX_TOPICS = 4
KEYS_PER_VALUE = 16
"""A filter may stand under this many keys for each value it lists, so that lists multiplied by lists
cannot make a small subscription a large index."""
_BY_SELECTIVITY = (0, 2, 3, 4, 1)
"""Dimensions in the order in which they become part of the key: topic0 last, which many logs share."""

Log = tuple[str, ...]
"""The address and the topics of a log."""
Key = tuple[str, ...]
"""The same in the dimensions of a shape alone."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What the filters of one table share: the dimensions of their key, the bounds of the topic count."""

    dimensions: tuple[int, ...]
    fewest: int
    most: int
    key: Callable[[Log], Key] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", _key_of(self.dimensions))


def _key_of(dimensions: tuple[int, ...]) -> Callable[[Log], Key]:
    """What takes a key out of a log: called for every shape of every log."""
    if len(dimensions) > 1:
        return itemgetter(*dimensions)
    return itemgetter(slice(dimensions[0], dimensions[0] + 1) if dimensions else slice(0))


_shape = cache(Shape)
"""There are a few hundred; each filter has one."""


@dataclass(frozen=True, eq=False, slots=True)
class Filter:
    """One compiled subscription. `position` is its place in its endpoint's list.

    `keyed`: what is allowed in each dimension of the shape. `unkeyed`: what is in the others that are
    restricted, compared after the look-up. `decodes`: the log must say what the signature declares. `lookup`:
    the part of the condition that tells the filter apart from others under its keys. `rest`: the part that is
    tested. `confirmations`: what has to be waited for. `notify`: the letters of what is told (see `told`).
    """

    endpoint: str
    position: int
    chain_id: int
    kind: str
    subscription: str
    signature: EventSignature | None
    shape: Shape
    keyed: tuple[tuple[str, ...], ...]
    unkeyed: tuple[tuple[int, frozenset[str]], ...]
    decodes: bool
    lookup: Lookup | None
    rest: Test | None
    confirmations: int | str
    notify: str

    def table_keys(self) -> Iterator[Key]:
        """Every key under which the index holds it, each once."""
        return product(*self.keyed)

    def wants(self, log: Log, meanings: Meanings) -> bool:
        """Whether a log found under one of its keys, and by its look-up, is right in everything else."""
        if self.unkeyed and not all(log[dimension] in values for dimension, values in self.unkeyed):
            return False
        if not self.decodes or self.signature is None:
            return True
        meaning = meanings.of(self.signature)
        return meaning is not None and (self.rest is None or self.rest(meaning.values))


def dimensions(event: Event) -> Log:
    """Address and topics."""
    return (event["address"], *event["topics"])


def compile_filter(endpoint: str, position: int, subscription: Subscription) -> Filter:
    """InvalidInput where the subscription's event signature or its condition is wrong."""
    signature = None if subscription.event is None else parse(subscription.event)
    said = narrowed(subscription.where, signature)
    allowed = _allowed(subscription, signature, said)
    bounds = _topic_bounds(subscription, signature)
    return filter_of(endpoint, position, subscription, signature, said, allowed, bounds)


def filter_of(
    endpoint: str,
    position: int,
    subscription: Subscription,
    signature: EventSignature | None,
    said: Narrowed,
    allowed: Mapping[int, tuple[str, ...]],
    topic_bounds: tuple[int, int],
    besides: Sequence[tuple[int, frozenset[str]]] = (),
) -> Filter:
    """From what the subscription allows in each dimension that it restricts; `besides` must hold as well."""
    each_once = {dimension: _once(values) for dimension, values in allowed.items() if values}
    keyed = _keyed(each_once)
    unkeyed = [(d, frozenset(values)) for d, values in each_once.items() if d not in keyed]
    return Filter(
        endpoint,
        position,
        subscription.chain_id,
        subscription.kind,
        subscription.id,
        signature,
        _shape(keyed, *topic_bounds),
        keyed=tuple(each_once[dimension] for dimension in keyed),
        unkeyed=(*unkeyed, *besides),
        # Nothing but its number of topics tells an anonymous event from others, so its data must fit too.
        decodes=signature is not None and (signature.anonymous or subscription.where is not None),
        lookup=said.lookup,
        rest=said.rest,
        confirmations=subscription.confirmations,
        notify=letters(subscription.notify),
    )


def narrowed(where: str | None, signature: EventSignature | None) -> Narrowed:
    if where is None:
        return Narrowed({}, lookup=None, rest=None)
    if signature is None:
        raise InvalidInput("where", "needs event")
    return narrow(where, signature)


def _allowed(
    subscription: Subscription, signature: EventSignature | None, said: Narrowed
) -> dict[int, tuple[str, ...]]:
    """The values of each restricted dimension; none = any."""
    allowed = {0: subscription.addresses}
    if signature is not None and signature.topic0 is not None:
        allowed[1] = (signature.topic0,)
    for position, choices in enumerate(subscription.topics or ()):
        allowed[position + 1] = choices or ()
    for position, words in said.topics.items():
        allowed[position + 1] = words
    return allowed


def _once(values: tuple[str, ...]) -> tuple[str, ...]:
    """The very same tuple where it may be: of 100,000 addresses, one copy is enough."""
    each = dict.fromkeys(values)
    return values if len(each) == len(values) else tuple(each)


def _keyed(allowed: Mapping[int, tuple[str, ...]]) -> tuple[int, ...]:
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
