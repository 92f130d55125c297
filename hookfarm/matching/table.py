"""The filters of one shape, found by the key of a log.

Under a key stand filters that nothing more tells apart, filters that the value of an argument tells apart, and
filters that a bound on an argument does, in the order of their bounds: a log meets those alone that it suits.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from hookfarm.conditions.syntax import Value
from hookfarm.matching.decoder import Meanings
from hookfarm.matching.filters import Filter, Key
from hookfarm.matching.where_index import Argument, Lookup

_CUTS: dict[str, Callable[[Sequence[int], int], slice]] = {
    ">": lambda bounds, value: slice(bisect_left(bounds, value)),
    ">=": lambda bounds, value: slice(bisect_right(bounds, value)),
    "<": lambda bounds, value: slice(bisect_right(bounds, value), None),
    "<=": lambda bounds, value: slice(bisect_left(bounds, value), None),
}
"""Which of the ordered bounds a value is on the right side of."""


class Table:
    """Its truth: whether it holds anything."""

    def __init__(self) -> None:
        self._plain: dict[Key, Sequence[Filter]] = {}
        self._by_argument: dict[Key, dict[Argument, _Filters]] = {}

    def __bool__(self) -> bool:
        return bool(self._plain or self._by_argument)

    def add(self, compiled: Filter) -> None:
        lookup, alone = compiled.lookup, (compiled,)
        for key in compiled.table_keys():
            if lookup is None:
                _add(self._plain, key, alone)
            else:
                arguments = self._by_argument.setdefault(key, {})
                arguments.setdefault(lookup.argument, _Filters()).add(lookup, alone)

    def discard(self, compiled: Filter) -> None:
        """Takes out a filter that was added."""
        lookup = compiled.lookup
        for key in compiled.table_keys():
            if lookup is None:
                _discard(self._plain, key, compiled)
                continue
            arguments = self._by_argument[key]
            arguments[lookup.argument].discard(lookup, compiled)
            if not arguments[lookup.argument]:
                del arguments[lookup.argument]
            if not arguments:
                del self._by_argument[key]

    def __contains__(self, key: Key) -> bool:
        """Whether any filter stands under the key."""
        return key in self._plain or key in self._by_argument

    def candidates(self, key: Key, meanings: Meanings) -> Iterator[Filter]:
        """The filters that may want a log of this key."""
        yield from self._plain.get(key, ())
        for argument, told_apart in self._by_argument.get(key, {}).items():
            yield from told_apart.suiting(argument.of(meanings))


class _Filters:
    """Those that one argument tells apart. Its truth: whether there are any."""

    def __init__(self) -> None:
        self._equal: dict[Value, Sequence[Filter]] = {}
        self._bounded: dict[str, _Bounds] = {}

    def __bool__(self) -> bool:
        return bool(self._equal or self._bounded)

    def add(self, lookup: Lookup, alone: tuple[Filter]) -> None:
        if lookup.operator == "==":
            for value in lookup.values:
                _add(self._equal, value, alone)
        else:
            bounds = self._bounded.setdefault(lookup.operator, _Bounds(lookup.operator))
            bounds.add(lookup.values[0], alone[0])

    def discard(self, lookup: Lookup, compiled: Filter) -> None:
        if lookup.operator == "==":
            for value in lookup.values:
                _discard(self._equal, value, compiled)
        else:
            self._bounded[lookup.operator].discard(compiled)
            if not self._bounded[lookup.operator]:
                del self._bounded[lookup.operator]

    def suiting(self, value: Any) -> Iterator[Filter]:
        """`value`: what `Argument.of` says."""
        yield from self._equal.get(value, ())
        if isinstance(value, int):
            for bounds in self._bounded.values():
                yield from bounds.suiting(value)


class _Bounds:
    """Filters with bounds of one operator, put in order when they are next asked."""

    def __init__(self, operator: str) -> None:
        self._cut = _CUTS[operator]
        self._pairs: list[tuple[int, Filter]] = []
        self._bounds: list[int] | None = None

    def __bool__(self) -> bool:
        return bool(self._pairs)

    def add(self, bound: int, compiled: Filter) -> None:
        self._pairs.append((bound, compiled))
        self._bounds = None

    def discard(self, compiled: Filter) -> None:
        self._pairs = [pair for pair in self._pairs if pair[1] is not compiled]
        self._bounds = None

    def suiting(self, value: int) -> Iterator[Filter]:
        if self._bounds is None:
            self._pairs.sort(key=lambda pair: pair[0])
            self._bounds = [bound for bound, _ in self._pairs]
        for _, compiled in self._pairs[self._cut(self._bounds, value)]:
            yield compiled


def _add(places: "dict[Any, Sequence[Filter]]", key: Key | Value, alone: tuple[Filter]) -> None:
    """A filter that is alone under its keys is so in one tuple for them all: 100,000 addresses, one tuple."""
    there = places.get(key)
    if there is None:
        places[key] = alone
    elif isinstance(there, list):
        there.extend(alone)
    else:
        places[key] = [*there, *alone]


def _discard(places: "dict[Any, Sequence[Filter]]", key: Key | Value, compiled: Filter) -> None:
    there = places[key]
    if isinstance(there, list) and len(there) > 1:
        there.remove(compiled)
    else:
        del places[key]
