"""The filters of one shape, found by the key of a log.

Each key maps to unconditional filters, to filters indexed by the value of an argument, and to filters sorted by a
bound on an argument. So a log meets only filters whose look-up it passes.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from hookfarm.conditions.condition import Value
from hookfarm.matching.decoder import DecodedLogs
from hookfarm.matching.filters import Filter, Key
from hookfarm.matching.where_index import Argument, Lookup

_CUTS: dict[str, Callable[[Sequence[int], int], slice]] = {
    ">": lambda bounds, value: slice(bisect_left(bounds, value)),
    ">=": lambda bounds, value: slice(bisect_right(bounds, value)),
    "<": lambda bounds, value: slice(bisect_right(bounds, value), None),
    "<=": lambda bounds, value: slice(bisect_left(bounds, value), None),
}
"""The slice of the sorted bounds that a value is on the right side of."""


class FilterTable:
    """The filters of one shape by key, and by look-up within a key."""

    def __init__(self) -> None:
        self._plain: dict[Key, Sequence[Filter]] = {}
        self._by_argument: dict[Key, dict[Argument, _ArgumentFilters]] = {}

    @property
    def is_empty(self) -> bool:
        return not (self._plain or self._by_argument)

    def add(self, compiled: Filter) -> None:
        lookup, alone = compiled.lookup, (compiled,)
        for key in compiled.table_keys():
            if lookup is None:
                _add(self._plain, key, alone)
            else:
                arguments = self._by_argument.setdefault(key, {})
                arguments.setdefault(lookup.argument, _ArgumentFilters()).add(lookup, alone)

    def discard(self, compiled: Filter) -> None:
        """Remove a filter that was added."""
        lookup = compiled.lookup
        for key in compiled.table_keys():
            if lookup is None:
                _discard(self._plain, key, compiled)
                continue
            arguments = self._by_argument[key]
            arguments[lookup.argument].discard(lookup, compiled)
            if arguments[lookup.argument].is_empty:
                del arguments[lookup.argument]
            if not arguments:
                del self._by_argument[key]

    def __contains__(self, key: Key) -> bool:
        """Return whether any filter has the key."""
        return key in self._plain or key in self._by_argument

    def candidates(self, key: Key, decoded_logs: DecodedLogs) -> Iterator[Filter]:
        """Yield the filters that may match a log of this key."""
        yield from self._plain.get(key, ())
        for argument, by_value in self._by_argument.get(key, {}).items():
            yield from by_value.matching(argument.read(decoded_logs))


class _ArgumentFilters:
    """The filters of one key that look up the same argument."""

    def __init__(self) -> None:
        self._equal: dict[Value, Sequence[Filter]] = {}
        self._bounded: dict[str, _BoundFilters] = {}

    @property
    def is_empty(self) -> bool:
        return not (self._equal or self._bounded)

    def add(self, lookup: Lookup, alone: tuple[Filter]) -> None:
        if lookup.operator == "==":
            for value in lookup.values:
                _add(self._equal, value, alone)
        else:
            bounds = self._bounded.setdefault(lookup.operator, _BoundFilters(lookup.operator))
            bounds.add(lookup.values[0], alone[0])

    def discard(self, lookup: Lookup, compiled: Filter) -> None:
        if lookup.operator == "==":
            for value in lookup.values:
                _discard(self._equal, value, compiled)
        else:
            self._bounded[lookup.operator].discard(compiled)
            if self._bounded[lookup.operator].is_empty:
                del self._bounded[lookup.operator]

    def matching(self, value: Any) -> Iterator[Filter]:
        """Yield the filters whose look-up matches `value`, the result of `Argument.read`."""
        yield from self._equal.get(value, ())
        if isinstance(value, int):
            for bounds in self._bounded.values():
                yield from bounds.matching(value)


class _BoundFilters:
    """Filters with bounds of one operator, sorted at the next look-up."""

    def __init__(self, operator: str) -> None:
        self._cut = _CUTS[operator]
        self._pairs: list[tuple[int, Filter]] = []
        self._bounds: list[int] | None = None

    @property
    def is_empty(self) -> bool:
        return not self._pairs

    def add(self, bound: int, compiled: Filter) -> None:
        self._pairs.append((bound, compiled))
        self._bounds = None

    def discard(self, compiled: Filter) -> None:
        self._pairs = [pair for pair in self._pairs if pair[1] is not compiled]
        self._bounds = None

    def matching(self, value: int) -> Iterator[Filter]:
        if self._bounds is None:
            self._pairs.sort(key=lambda pair: pair[0])
            self._bounds = [bound for bound, _ in self._pairs]
        for _, compiled in self._pairs[self._cut(self._bounds, value)]:
            yield compiled


def _add(filters: dict[Any, Sequence[Filter]], key: Key | Value, alone: tuple[Filter]) -> None:
    """Add a filter to the filters of its key.

    A filter that is alone under its keys is stored in one tuple for all of them: 100,000 addresses, one tuple.
    """
    stored = filters.get(key)
    if stored is None:
        filters[key] = alone
    elif isinstance(stored, list):
        stored.extend(alone)
    else:
        filters[key] = [*stored, *alone]


def _discard(filters: dict[Any, Sequence[Filter]], key: Key | Value, compiled: Filter) -> None:
    stored = filters[key]
    if isinstance(stored, list) and len(stored) > 1:
        stored.remove(compiled)
    else:
        del filters[key]
