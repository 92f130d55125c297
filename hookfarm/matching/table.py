"""The filters of one shape, found by the key of a log.

Each key maps to unconditional filters, filters indexed by an argument's value, and filters sorted by a bound. So a
log meets only filters whose look-up it passes. Up to MAX_TRIED filters of a key are tried in turn instead.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from hookfarm.conditions.condition import Value
from hookfarm.matching.decoder import DecodedLogs
from hookfarm.matching.filters import Filter, Key
from hookfarm.matching.where_index import Argument, Lookup

MAX_TRIED = 4
"""Max filters with a look-up per key that are tried one by one."""
_CUTS: dict[str, Callable[[Sequence[int], int], slice]] = {
    ">": lambda bounds, value: slice(bisect_left(bounds, value)),
    ">=": lambda bounds, value: slice(bisect_right(bounds, value)),
    "<": lambda bounds, value: slice(bisect_right(bounds, value), None),
    "<=": lambda bounds, value: slice(bisect_left(bounds, value), None),
}
"""Slice of the sorted bounds that a value satisfies."""


class FilterTable:
    """The filters of one shape by key, and by look-up within a key."""

    def __init__(self) -> None:
        self._plain: dict[Key, Sequence[Filter]] = {}
        self._looked_up: dict[Key, Sequence[Filter] | _FiltersByArgument] = {}

    @property
    def is_empty(self) -> bool:
        return not (self._plain or self._looked_up)

    def add(self, compiled: Filter) -> None:
        alone = (compiled,)
        for key in compiled.keys:
            if compiled.lookup is None:
                _add(self._plain, key, alone)
            else:
                self._add_looked_up(key, alone)

    def _add_looked_up(self, key: Key, alone: tuple[Filter]) -> None:
        """Add a filter with a look-up; up to MAX_TRIED per key, the common case, need no tables of their own."""
        stored = self._looked_up.get(key, ())
        if isinstance(stored, _FiltersByArgument):
            stored.add(alone)
        elif len(stored) < MAX_TRIED:
            self._looked_up[key] = (*stored, *alone) if stored else alone
        else:
            self._looked_up[key] = by_argument = _FiltersByArgument()
            for each in (*stored, *alone):
                by_argument.add((each,))

    def discard(self, compiled: Filter) -> None:
        """Remove a filter that was added."""
        for key in compiled.keys:
            if compiled.lookup is None:
                _discard(self._plain, key, compiled)
            else:
                self._discard_looked_up(key, compiled)

    def _discard_looked_up(self, key: Key, compiled: Filter) -> None:
        stored = self._looked_up[key]
        if isinstance(stored, _FiltersByArgument):
            stored.discard(compiled)
        else:
            stored = self._looked_up[key] = tuple(each for each in stored if each is not compiled)
        if not stored:
            del self._looked_up[key]

    def __contains__(self, key: Key) -> bool:
        """Return whether any filter has the key."""
        return key in self._plain or key in self._looked_up

    def candidates(self, key: Key, decoded_logs: DecodedLogs) -> Iterator[Filter]:
        """Yield the filters that may match a log of this key."""
        yield from self._plain.get(key, ())
        looked_up = self._looked_up.get(key, ())
        if isinstance(looked_up, _FiltersByArgument):
            yield from looked_up.matching(decoded_logs)
            return
        for each in looked_up:
            if each.lookup is None or each.lookup.matches(each.lookup.argument.read(decoded_logs)):
                yield each


class _FiltersByArgument:
    """The filters of one key that look up an argument."""

    def __init__(self) -> None:
        self._arguments: dict[Argument, _ArgumentFilters] = {}

    def __bool__(self) -> bool:
        return bool(self._arguments)

    def add(self, alone: tuple[Filter]) -> None:
        lookup = alone[0].lookup
        assert lookup is not None
        self._arguments.setdefault(lookup.argument, _ArgumentFilters()).add(lookup, alone)

    def discard(self, compiled: Filter) -> None:
        lookup = compiled.lookup
        assert lookup is not None
        self._arguments[lookup.argument].discard(lookup, compiled)
        if self._arguments[lookup.argument].is_empty:
            del self._arguments[lookup.argument]

    def matching(self, decoded_logs: DecodedLogs) -> Iterator[Filter]:
        for argument, by_value in self._arguments.items():
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
        """Yield the filters whose look-up `value`, a result of `Argument.read`, passes."""
        yield from self._equal.get(value, ())
        if isinstance(value, int):
            for bounds in self._bounded.values():
                yield from bounds.matching(value)


class _BoundFilters:
    """Filters with bounds of one operator, sorted on the next look-up."""

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

    The tuple `alone` is shared by all keys under which the filter is the only one; this saves memory.
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
