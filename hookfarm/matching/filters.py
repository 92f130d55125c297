"""Compile a subscription into a filter: the logs it matches, and the keys under which the index finds it.

A log has five dimensions: its address and topics 0 to 3. A filter restricts some of them to a few values, and the
number of topics to a range:

- `topics` of n positions require at least n topics, as in `eth_getLogs`, null positions included (go-ethereum,
  eth/filters, filterLogs);
- an event with `indexed` parameters requires exactly as many topics as it declares. So an ERC-721 Transfer is not
  taken for the ERC-20 Transfer, which has the same topic0;
- an event's short form requires topic0 only. An anonymous event has no topic0, only its number of topics;
- a condition requires a log that decodes. Its equalities on indexed arguments restrict their topics.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from itertools import product
from operator import itemgetter

from hookfarm.abi.abi_types import EventSignature
from hookfarm.abi.signature import parse
from hookfarm.conditions.condition import Parameters, Test
from hookfarm.conditions.grammar import MAX_FORMS
from hookfarm.errors import InvalidInput
from hookfarm.matching.decoder import DecodedLogs
from hookfarm.matching.history import encode_notify
from hookfarm.matching.where_index import NO_CONDITION, Lookup, SplitCondition, split
from hookfarm.records import Event, Subscription
from hookfarm.records.events import MAX_TOPICS

MAX_KEYS_PER_VALUE = 16
"""Max keys of a filter per listed value: the product of several lists must not turn a small subscription into a
large index."""
_BY_SELECTIVITY = (0, 2, 3, 4, 1)
"""Dimensions in the order in which they join the key: topic0 last, because many logs share it."""

Log = tuple[str, ...]
"""The address and the topics of a log."""
Key = tuple[str, ...]
"""Address and topics of a log in the dimensions of one shape."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The common form of one table's filters: the dimensions of their key, the range of the topic count."""

    dimensions: tuple[int, ...]
    min_topics: int
    max_topics: int
    key: Callable[[Log], Key] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", _key_of(self.dimensions))


def _key_of(dimensions: tuple[int, ...]) -> Callable[[Log], Key]:
    """Return a fast getter of a log's key; it runs for every shape of every log."""
    if len(dimensions) > 1:
        return itemgetter(*dimensions)
    return itemgetter(slice(dimensions[0], dimensions[0] + 1) if dimensions else slice(0))


_shape = cache(Shape)
"""A few hundred exist; filters share them."""


@dataclass(frozen=True, slots=True)
class FilterForm:
    """Properties shared by all filters that differ only in values.

    `must_decode`: the log must fit the signature. `residual`: the part of the condition that is tested.
    `confirmations`: as in the subscription. `notify`: the codes of its notifications (see `history`).
    """

    chain_id: int
    kind: str
    signature: EventSignature | None
    shape: Shape
    must_decode: bool
    residual: Test | None
    confirmations: int | str
    notify: str


@lru_cache(MAX_FORMS)
def _filter_form(
    chain_id: int,
    kind: str,
    signature: EventSignature | None,
    dimensions: tuple[int, ...],
    topic_bounds: tuple[int, int],
    has_condition: bool,
    residual: Test | None,
    confirmations: int | str,
    notify: tuple[str, ...],
) -> FilterForm:
    # An anonymous event is distinguished by its topic count only, so its data must fit too.
    must_decode = signature is not None and (signature.anonymous or has_condition)
    shape = _shape(dimensions, *topic_bounds)
    return FilterForm(
        chain_id, kind, signature, shape, must_decode, residual, confirmations, encode_notify(notify)
    )


@dataclass(eq=False, slots=True)
class Filter:
    """One compiled subscription. Never changed; not frozen, because frozen dataclasses take four times as long.

    `position`: its index in its endpoint's list.
    `keys`: its keys in the index, without duplicates. `unkeyed`: allowed values of the other restricted
    dimensions, compared after the look-up. `lookup`: the part of the condition that the table looks up.
    `parameters`: the parameters of the residual test.
    """

    endpoint: str
    position: int
    subscription: str
    form: FilterForm
    keys: Iterable[Key]
    unkeyed: tuple[tuple[int, frozenset[str]], ...]
    lookup: Lookup | None
    parameters: Parameters

    def matches(self, log: Log, decoded_logs: DecodedLogs) -> bool:
        """Return whether a log found by key and look-up fulfils the rest of the filter."""
        if self.unkeyed and not all(log[dimension] in values for dimension, values in self.unkeyed):
            return False
        form = self.form
        if not form.must_decode or form.signature is None:
            return True
        decoded = decoded_logs.decode(form.signature)
        return decoded is not None and (form.residual is None or form.residual(decoded.values, self.parameters))


def dimensions(event: Event) -> Log:
    """Return the dimensions of a log: its address and topics."""
    return (event["address"], *event["topics"])


def restrictions(subscription: Subscription) -> dict[int, tuple[str, ...]]:
    """Return the allowed values of a log's dimensions, without those that may have any value.

    A log outside them does not match the subscription, for any data. Raises InvalidInput like `compile_filter`.
    """
    signature = None if subscription.event is None else parse(subscription.event)
    allowed = _allowed(subscription, signature, split_condition(subscription.where, signature))
    return {dimension: values for dimension, values in allowed.items() if values}


def compile_filter(endpoint: str, position: int, subscription: Subscription) -> Filter:
    """Compile a subscription to logs. Raises InvalidInput for an invalid event signature or condition."""
    signature = None if subscription.event is None else parse(subscription.event)
    condition = split_condition(subscription.where, signature)
    allowed = _allowed(subscription, signature, condition)
    bounds = _topic_bounds(subscription, signature)
    return build_filter(endpoint, position, subscription, signature, condition, allowed, bounds)


def build_filter(
    endpoint: str,
    position: int,
    subscription: Subscription,
    signature: EventSignature | None,
    condition: SplitCondition,
    allowed: Mapping[int, tuple[str, ...]],
    topic_bounds: tuple[int, int],
    extra: Sequence[tuple[int, frozenset[str]]] = (),
) -> Filter:
    """Build a filter from the allowed values of each restricted dimension; `extra` restricts it further."""
    keyed, keys, unkeyed = _split_dimensions(allowed)
    form = _filter_form(
        subscription.chain_id,
        subscription.kind,
        signature,
        keyed,
        topic_bounds,
        subscription.where is not None,
        condition.residual,
        subscription.confirmations,
        subscription.notify,
    )
    return Filter(
        endpoint,
        position,
        subscription.id,
        form,
        keys,
        (*unkeyed, *extra),
        condition.lookup,
        condition.parameters,
    )


def split_condition(where: str | None, signature: EventSignature | None) -> SplitCondition:
    if where is None:
        return NO_CONDITION
    if signature is None:
        raise InvalidInput("where", "requires event")
    return split(where, signature)


def _allowed(
    subscription: Subscription, signature: EventSignature | None, condition: SplitCondition
) -> dict[int, tuple[str, ...]]:
    """Return the allowed values of each restricted dimension; an empty tuple = any."""
    allowed = {0: subscription.addresses}
    if signature is not None and signature.topic0 is not None:
        allowed[1] = (signature.topic0,)
    for position, choices in enumerate(subscription.topics or ()):
        allowed[position + 1] = choices or ()
    for position, words in condition.topics.items():
        allowed[position + 1] = words
    return allowed


_Unkeyed = tuple[tuple[int, frozenset[str]], ...]


def _split_dimensions(
    allowed: Mapping[int, tuple[str, ...]],
) -> tuple[tuple[int, ...], Iterable[Key], _Unkeyed]:
    """Return the dimensions of the key, the keys, and the allowed values of the other restricted dimensions."""
    restricted: list[int] = []
    key: list[str] = []
    for dimension in _BY_SELECTIVITY:
        if values := allowed.get(dimension):
            restricted.append(dimension)
            key.append(values[0])
            if len(values) > 1:
                break
    else:
        return tuple(restricted), (tuple(key),), ()
    distinct = {d: _distinct(allowed[d]) for d in _BY_SELECTIVITY if allowed.get(d)}
    keyed = _keyed(distinct)
    unkeyed = tuple((d, frozenset(values)) for d, values in distinct.items() if d not in keyed)
    return keyed, _Product(*(distinct[d] for d in keyed)), unkeyed


class _Product:
    """The keys of all combinations of values, computed on demand to save memory."""

    __slots__ = ("_values",)

    def __init__(self, *values: tuple[str, ...]) -> None:
        self._values = values

    def __iter__(self) -> Iterator[Key]:
        return product(*self._values)


def _distinct(values: tuple[str, ...]) -> tuple[str, ...]:
    """Return the values without duplicates; the same tuple if there are none, to avoid a copy."""
    each = dict.fromkeys(values)
    return values if len(each) == len(values) else tuple(each)


def _keyed(allowed: Mapping[int, tuple[str, ...]]) -> tuple[int, ...]:
    """Return the dimensions of the key: as many as keep the number of keys within MAX_KEYS_PER_VALUE."""
    max_keys = MAX_KEYS_PER_VALUE * sum(map(len, allowed.values()))
    keyed: list[int] = []
    count = 1
    for dimension, values in allowed.items():
        if count * len(values) <= max_keys:
            count *= len(values)
            keyed.append(dimension)
    return tuple(keyed)


def _topic_bounds(subscription: Subscription, signature: EventSignature | None) -> tuple[int, int]:
    if signature is None:
        return len(subscription.topics or ()), MAX_TOPICS
    if signature.is_short_form:
        return 1, MAX_TOPICS
    return signature.topic_count, signature.topic_count
