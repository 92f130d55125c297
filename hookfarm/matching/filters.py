"""Compile a subscription into a filter: which logs it matches, and under which keys the index finds it.

A log has five dimensions: its address and topics 0 to 3. A filter allows some of them a few values, all
others any, and wants a number of topics within bounds:

- `topics` of n positions want at least n topics, as in `eth_getLogs`, null positions included (go-ethereum,
  eth/filters, filterLogs);
- an event with `indexed` parameters wants exactly as many topics as it declares, so that an ERC-721 Transfer
  is not taken for the ERC-20 one of the same topic0;
- an event's short form wants topic0 alone; an anonymous event has no topic0 and only its number of topics;
- a condition wants a log that decodes; its equalities on indexed arguments restrict their topics.
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
"""Most keys of a filter for each value it lists: lists multiplied by lists must not turn a small subscription
into a large index."""
_BY_SELECTIVITY = (0, 2, 3, 4, 1)
"""Dimensions in the order in which they become part of the key: topic0 last, which many logs share."""

Log = tuple[str, ...]
"""The address and the topics of a log."""
Key = tuple[str, ...]
"""The same, in the dimensions of one shape."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The common form of one table's filters: the dimensions of their key, the bounds of the topic count."""

    dimensions: tuple[int, ...]
    min_topics: int
    max_topics: int
    key: Callable[[Log], Key] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", _key_of(self.dimensions))


def _key_of(dimensions: tuple[int, ...]) -> Callable[[Log], Key]:
    """Return a getter of a log's key: called for every shape of every log."""
    if len(dimensions) > 1:
        return itemgetter(*dimensions)
    return itemgetter(slice(dimensions[0], dimensions[0] + 1) if dimensions else slice(0))


_shape = cache(Shape)
"""There are a few hundred; each filter has one."""


@dataclass(frozen=True, slots=True)
class FilterForm:
    """What filters have in common that differ only in values: one object for all of them.

    `must_decode`: the log must fit the signature. `residual`: the part of the condition that is tested.
    `confirmations`: what to wait for. `notify`: the codes of its notifications (see `history`).
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
    # Only its number of topics distinguishes an anonymous event from others, so its data must fit, too.
    must_decode = signature is not None and (signature.anonymous or has_condition)
    shape = _shape(dimensions, *topic_bounds)
    return FilterForm(
        chain_id, kind, signature, shape, must_decode, residual, confirmations, encode_notify(notify)
    )


@dataclass(eq=False, slots=True)
class Filter:
    """One compiled subscription; never changed, but a frozen one takes four times as long to make.

    `position`: its index in its endpoint's list.
    `keys`: under which the index finds it, each once. `unkeyed`: the values allowed in the other restricted
    dimensions, compared after the look-up. `lookup`: the part of the condition that the table looks up.
    `parameters`: those of the residual test.
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
        """Return whether a log that was found by key and look-up meets the rest of the filter."""
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


def compile_filter(endpoint: str, position: int, subscription: Subscription) -> Filter:
    """Compile a subscription to logs. Raises InvalidInput if its event signature or its condition is wrong."""
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
    """Build a filter from the values allowed in each restricted dimension; those of `extra` must match, too."""
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
        raise InvalidInput("where", "needs event")
    return split(where, signature)


def _allowed(
    subscription: Subscription, signature: EventSignature | None, condition: SplitCondition
) -> dict[int, tuple[str, ...]]:
    """Return the values of each restricted dimension; none = any."""
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
    """Return the dimensions of the key, the keys, and the values allowed in the other restricted dimensions."""
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
    """The keys of all combinations of values: of 100,000 addresses, no 100,000 keys are kept."""

    __slots__ = ("_values",)

    def __init__(self, *values: tuple[str, ...]) -> None:
        self._values = values

    def __iter__(self) -> Iterator[Key]:
        return product(*self._values)


def _distinct(values: tuple[str, ...]) -> tuple[str, ...]:
    """Return the very same tuple if it has no duplicates: of 100,000 addresses, one copy is enough."""
    each = dict.fromkeys(values)
    return values if len(each) == len(values) else tuple(each)


def _keyed(allowed: Mapping[int, tuple[str, ...]]) -> tuple[int, ...]:
    """Choose the dimensions of the key: as many as keep the number of keys in proportion."""
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
