"""Which endpoints want an event, at a cost that does not grow with the number of subscriptions.

Filters of one shape (which dimensions they restrict) share a table from key to filters, so that an event
costs one look-up per shape, of which there are a few dozen at most, and one step per filter that wants it.
A table exists only while filters of its shape do. Of a condition, as much as can be is looked up as well
(see `narrowing`); what cannot, such as `!=` or `or`, costs a test for each filter of the key.

Pure: no input or output, and the only state is what `put` and `remove` were told.
"""

from dataclasses import dataclass

from hookfarm.abi.abi_types import EventSignature
from hookfarm.errors import InvalidInput
from hookfarm.matching.decoder import Meanings
from hookfarm.matching.filters import Filter, Log, Shape, compile_filter, dimensions
from hookfarm.matching.history import USUAL
from hookfarm.matching.table import Table
from hookfarm.matching.transfers import compile_transfer
from hookfarm.matching.transfers import dimensions as dimensions_of_transfer
from hookfarm.records import ChainEvent, Endpoint, Subscription


@dataclass(frozen=True)
class Match:
    """One endpoint that wants the event, by the first of its subscriptions that does."""

    endpoint: str
    subscription: str
    signature: EventSignature | None
    confirmations: int | str
    notify: str = USUAL


class Index:
    """The subscriptions of all enabled endpoints."""

    def __init__(self) -> None:
        self._chains: dict[tuple[int, str], dict[Shape, Table]] = {}
        self._filters: dict[str, tuple[Filter, ...]] = {}

    @property
    def chains(self) -> frozenset[int]:
        """Those that some enabled endpoint's subscription names."""
        return frozenset(chain_id for chain_id, _ in self._chains)

    @property
    def endpoints(self) -> int:
        """How many are known that want anything."""
        return len(self._filters)

    def put(self, endpoint: Endpoint) -> list[InvalidInput]:
        """Replaces what is known of the endpoint.

        Returns what is wrong with those of its subscriptions that cannot be matched; the others are.
        """
        self.remove(endpoint.id)
        if not endpoint.enabled:
            return []
        filters: list[Filter] = []
        problems: list[InvalidInput] = []
        for position, subscription in enumerate(endpoint.subscriptions):
            if subscription.is_operational:
                continue  # It is of no chain.
            try:
                filters.append(_compiled(endpoint.id, position, subscription))
            except InvalidInput as error:
                problems.append(error.within(f"{endpoint.id}.subscriptions[{position}]"))
        for compiled in filters:
            self._add(compiled)
        if filters:
            self._filters[endpoint.id] = tuple(filters)
        return problems

    def remove(self, endpoint_id: str) -> None:
        """Forgets the endpoint; nothing happens where it is not known."""
        for compiled in self._filters.pop(endpoint_id, ()):
            self._discard(compiled)

    def may_want(self, chain_id: int, log: Log) -> bool:
        """False where no endpoint wants a log of this address and these topics, whatever else is in it."""
        count = len(log) - 1
        for shape, table in self._chains.get((chain_id, "log"), {}).items():
            if shape.fewest <= count <= shape.most and shape.key(log) in table:
                return True
        return False

    def match(self, event: ChainEvent, meanings: Meanings) -> list[Match]:
        """One match for each endpoint that wants the event."""
        kind, log = ("transfer", dimensions_of_transfer(event)) if "kind" in event else ("log", dimensions(event))
        count = len(log) - 1
        first: dict[str, Filter] = {}
        for shape, table in self._chains.get((event["chain_id"], kind), {}).items():
            if shape.fewest <= count <= shape.most:
                for found in table.candidates(shape.key(log), meanings):
                    earlier = first.get(found.endpoint)
                    if (earlier is None or found.position < earlier.position) and found.wants(log, meanings):
                        first[found.endpoint] = found
        return [Match(f.endpoint, f.subscription, f.signature, f.confirmations, f.notify) for f in first.values()]

    def signature_of(self, endpoint_id: str, subscription: str) -> EventSignature | None:
        """What the endpoint's subscription calls the event; None where it has no name for it, or is gone."""
        found = (f.signature for f in self._filters.get(endpoint_id, ()) if f.subscription == subscription)
        return next(found, None)

    def _add(self, compiled: Filter) -> None:
        tables = self._chains.setdefault((compiled.chain_id, compiled.kind), {})
        tables.setdefault(compiled.shape, Table()).add(compiled)

    def _discard(self, compiled: Filter) -> None:
        tables = self._chains[compiled.chain_id, compiled.kind]
        tables[compiled.shape].discard(compiled)
        if not tables[compiled.shape]:
            del tables[compiled.shape]
        if not tables:
            del self._chains[compiled.chain_id, compiled.kind]


def _compiled(endpoint: str, position: int, subscription: Subscription) -> Filter:
    """InvalidInput where the subscription is wrong."""
    compiled = compile_transfer if subscription.kind == "transfer" else compile_filter
    return compiled(endpoint, position, subscription)
