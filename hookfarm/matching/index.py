"""Find the endpoints that match an event, at a cost independent of the number of subscriptions.

Filters of one shape (the dimensions that they restrict) share a table from key to filters. So an event costs one
look-up per shape (a few dozen at most) and one step per matching filter. Conditions are looked up too where
possible (see `where_index`). The rest, such as `!=` or `or`, costs one test per filter of the key.

Pure: no I/O; only `put` and `remove` change state.
"""

from dataclasses import dataclass

from hookfarm.abi.abi_types import EventSignature
from hookfarm.errors import InvalidInput
from hookfarm.matching.decoder import DecodedLogs
from hookfarm.matching.filters import Filter, Log, Shape, compile_filter, dimensions
from hookfarm.matching.history import DEFAULT_NOTIFY
from hookfarm.matching.table import FilterTable
from hookfarm.matching.transfers import compile_transfer
from hookfarm.matching.transfers import dimensions as dimensions_of_transfer
from hookfarm.records import ChainEvent, Endpoint, Subscription


@dataclass(frozen=True)
class Match:
    """An endpoint that matches an event, with the first of its subscriptions that matches."""

    endpoint: str
    subscription: str
    signature: EventSignature | None
    confirmations: int | str
    notify: str = DEFAULT_NOTIFY


class Index:
    """The subscriptions of all enabled endpoints."""

    def __init__(self) -> None:
        self._chains: dict[tuple[int, str], dict[Shape, FilterTable]] = {}
        self._filters: dict[str, tuple[Filter, ...]] = {}

    @property
    def chains(self) -> frozenset[int]:
        """Chains with a subscription of an enabled endpoint."""
        return frozenset(chain_id for chain_id, _ in self._chains)

    @property
    def endpoints(self) -> int:
        """The number of endpoints with at least one filter."""
        return len(self._filters)

    def put(self, endpoint: Endpoint) -> list[InvalidInput]:
        """Add or replace an endpoint.

        Returns the problems of its invalid subscriptions; the valid ones are added.
        """
        self.remove(endpoint.id)
        if not endpoint.enabled:
            return []
        filters: list[Filter] = []
        problems: list[InvalidInput] = []
        for position, subscription in enumerate(endpoint.subscriptions):
            if subscription.is_operational:
                continue  # Operational events have no chain.
            try:
                filters.append(_compile(endpoint.id, position, subscription))
            except InvalidInput as error:
                problems.append(error.within(f"{endpoint.id}.subscriptions[{position}]"))
        for compiled in filters:
            self._add(compiled)
        if filters:
            self._filters[endpoint.id] = tuple(filters)
        return problems

    def remove(self, endpoint_id: str) -> None:
        """Remove an endpoint, if present."""
        for compiled in self._filters.pop(endpoint_id, ()):
            self._discard(compiled)

    def may_match(self, chain_id: int, log: Log) -> bool:
        """Return False if no endpoint matches a log with this address and these topics, for any data."""
        count = len(log) - 1
        for shape, table in self._chains.get((chain_id, "log"), {}).items():
            if shape.min_topics <= count <= shape.max_topics and shape.key(log) in table:
                return True
        return False

    def match(self, event: ChainEvent, decoded_logs: DecodedLogs) -> list[Match]:
        """Return one match per endpoint that matches the event."""
        kind, log = ("transfer", dimensions_of_transfer(event)) if "kind" in event else ("log", dimensions(event))
        count = len(log) - 1
        first: dict[str, Filter] = {}
        for shape, table in self._chains.get((event["chain_id"], kind), {}).items():
            if shape.min_topics <= count <= shape.max_topics:
                for found in table.candidates(shape.key(log), decoded_logs):
                    earlier = first.get(found.endpoint)
                    if (earlier is None or found.position < earlier.position) and found.matches(log, decoded_logs):
                        first[found.endpoint] = found
        return list(map(_match, first.values()))

    def signature_of(self, endpoint_id: str, subscription: str) -> EventSignature | None:
        """Return the event signature of an endpoint's subscription; None if it has none or was removed."""
        found = (f.form.signature for f in self._filters.get(endpoint_id, ()) if f.subscription == subscription)
        return next(found, None)

    def _add(self, compiled: Filter) -> None:
        form = compiled.form
        tables = self._chains.setdefault((form.chain_id, form.kind), {})
        table = tables.get(form.shape)
        if table is None:
            table = tables[form.shape] = FilterTable()
        table.add(compiled)

    def _discard(self, compiled: Filter) -> None:
        form = compiled.form
        tables = self._chains[form.chain_id, form.kind]
        tables[form.shape].discard(compiled)
        if tables[form.shape].is_empty:
            del tables[form.shape]
        if not tables:
            del self._chains[form.chain_id, form.kind]


def _match(found: Filter) -> Match:
    form = found.form
    return Match(found.endpoint, found.subscription, form.signature, form.confirmations, form.notify)


def _compile(endpoint: str, position: int, subscription: Subscription) -> Filter:
    """Compile a subscription. Raises InvalidInput if it is invalid."""
    compiled = compile_transfer if subscription.kind == "transfer" else compile_filter
    return compiled(endpoint, position, subscription)
