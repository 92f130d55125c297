"""A checked condition, with positions for names and values for literals; and its test of a log.

Values are those of `matching.decoder.decode_values`: integers and addresses `int`, booleans `bool`, strings and
bytes `bytes`, arrays and tuples sequences, hashes in topics `0x…`. The test is built of closures that only
compare. The literals are parameters, so that conditions which differ only in literals share one test.
"""

import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from hookfarm.abi.abi_types import AbiType

Value = int | bool | bytes | str
Values = Sequence[Any]
"""Values by position of the parameter."""
Parameters = Sequence[Any]
"""Literals of a test: the values or the bound of each of its leaves, in order."""
Test = Callable[[Values, Parameters], bool]

_MISSING = object()
"""Result of reading a missing member of an array."""
OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Operand:
    """Path to a value: the position of the parameter, then of the member, and so on.

    `is_length`: its number of members or bytes is compared. `is_hash`: the log contains only its hash.
    """

    steps: tuple[int, ...]
    type: AbiType
    is_length: bool = False
    is_hash: bool = False


@dataclass(frozen=True, slots=True)
class Placeholder:
    """Placeholder for the `number`-th number of a text, which is compared with `operand`."""

    number: int
    operand: Operand
    is_negative: bool


@dataclass(frozen=True, slots=True)
class Among:
    """Comparison with literals: the value is one of `values` (`in`), or exists and is not one of them."""

    operand: Operand
    values: frozenset[Value | Placeholder]
    wanted: bool


@dataclass(frozen=True, slots=True)
class Bounded:
    """Comparison of an integer with a bound: `<`, `<=`, `>`, `>=`."""

    operand: Operand
    operator: str
    bound: int | Placeholder


@dataclass(frozen=True, slots=True)
class Compared:
    """Comparison of two values of the log; only integers have an order."""

    left: Operand
    operator: str
    right: Operand


@dataclass(frozen=True, slots=True)
class Not:
    """Negation of a condition."""

    inner: "Condition"


@dataclass(frozen=True, slots=True)
class AllOf:
    """Conjunction: all conditions hold."""

    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Disjunction: at least one condition holds."""

    parts: tuple["Condition", ...]


Condition = Among | Bounded | Compared | Not | AllOf | AnyOf


def conjuncts(condition: Condition) -> Iterator[Condition]:
    """Yield the conditions that must all hold for `condition` to hold."""
    if isinstance(condition, AllOf):
        for part in condition.parts:
            yield from conjuncts(part)
    else:
        yield condition


def leaves(condition: Condition) -> Iterator[Among | Bounded]:
    """Yield the comparisons with literals, in the order of the test's parameters."""
    match condition:
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from leaves(part)
        case Not(inner):
            yield from leaves(inner)
        case Among() | Bounded():
            yield condition


def parameters_of(condition: Condition) -> tuple[Any, ...]:
    """Return the literals of its test; placeholders stay placeholders."""
    return tuple(each.values if isinstance(each, Among) else each.bound for each in leaves(condition))


def without_values(condition: Condition) -> Condition:
    """Return the condition without its literals; equal results share one test."""
    match condition:
        case AllOf(parts):
            return AllOf(tuple(map(without_values, parts)))
        case AnyOf(parts):
            return AnyOf(tuple(map(without_values, parts)))
        case Not(inner):
            return Not(without_values(inner))
        case Among():
            return replace(condition, values=frozenset())
        case Bounded():
            return replace(condition, bound=0)
        case Compared():
            return condition


def compile_test(condition: Condition) -> Test:
    """Return the test of a condition without its literals. It never raises for the signature's types."""
    return _compile(condition, count())


def _compile(condition: Condition, positions: Iterator[int]) -> Test:
    """Compile with `positions` as the positions of its parameters."""
    match condition:
        case AllOf(parts):
            tests = [_compile(part, positions) for part in parts]
            return lambda values, parameters: all(test(values, parameters) for test in tests)
        case AnyOf(parts):
            tests = [_compile(part, positions) for part in parts]
            return lambda values, parameters: any(test(values, parameters) for test in tests)
        case Not(inner):
            refused = _compile(inner, positions)
            return lambda values, parameters: not refused(values, parameters)
        case Among():
            return _among(condition, next(positions))
        case Bounded(operand, sign, _):
            return _bounded(make_reader(operand), OPERATORS[sign], next(positions))
        case Compared(left, sign, right):
            return _compared(make_reader(left), OPERATORS[sign], make_reader(right))


def make_reader(operand: Operand) -> Callable[[Values], Any]:
    """Return a function that reads the operand from a log's values; _MISSING equals no value."""
    first, *rest = operand.steps
    if not rest and not operand.is_length:
        return operator.itemgetter(first)

    def read(values: Values) -> Any:
        found = values[first]
        for step in rest:
            if step >= len(found):
                return _MISSING
            found = found[step]
        return len(found) if operand.is_length else found

    return read


def _among(condition: Among, position: int) -> Test:
    read = make_reader(condition.operand)
    if condition.wanted:
        return lambda values, parameters: read(values) in parameters[position]
    return lambda values, parameters: (found := read(values)) not in parameters[position] and found is not _MISSING


def _bounded(read: Callable[[Values], Any], compare: Callable[[Any, Any], bool], position: int) -> Test:
    return lambda values, parameters: (
        (found := read(values)) is not _MISSING and compare(found, parameters[position])
    )


def _compared(
    left: Callable[[Values], Any], compare: Callable[[Any, Any], bool], right: Callable[[Values], Any]
) -> Test:
    def test(values: Values, _parameters: Parameters) -> bool:
        first, second = left(values), right(values)
        return first is not _MISSING and second is not _MISSING and compare(first, second)

    return test
