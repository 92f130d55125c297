"""A checked condition, whose names are positions and whose literals are values; and its test of a log.

Values are those of a decoded log before it becomes JSON (`decoder.values`): integers and addresses `int`,
booleans `bool`, strings and bytes `bytes`, arrays and tuples sequences, hashes in topics `0x…`. The test is built
of closures once, when the subscription is compiled; for a log it only compares.
"""

import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hookfarm.abi.abi_types import AbiType

Value = int | bool | bytes | str
Values = Sequence[Any]
"""By position of the parameter."""
Test = Callable[[Values], bool]

_MISSING = object()
"""Read if an array has no such member."""
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Operand:
    """Path to a value: the position of the parameter, then of the member, and so on.

    `is_length`: not the value itself but its number of members or bytes. `is_hash`: only its hash is in the log.
    """

    steps: tuple[int, ...]
    type: AbiType
    is_length: bool = False
    is_hash: bool = False


@dataclass(frozen=True, slots=True)
class Among:
    """Comparison with literals: the value is one of `values` (`in`), or exists and is none of them."""

    operand: Operand
    values: frozenset[Value]
    wanted: bool


@dataclass(frozen=True, slots=True)
class Bounded:
    """Comparison of an integer with a bound: `<`, `<=`, `>`, `>=`."""

    operand: Operand
    operator: str
    bound: int


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


def compile_test(condition: Condition) -> Test:
    """Return the test of a condition. It never raises for values of the signature's types."""
    match condition:
        case AllOf(parts):
            tests = [compile_test(part) for part in parts]
            return lambda values: all(test(values) for test in tests)
        case AnyOf(parts):
            tests = [compile_test(part) for part in parts]
            return lambda values: any(test(values) for test in tests)
        case Not(inner):
            refused = compile_test(inner)
            return lambda values: not refused(values)
        case Among():
            return _among(condition)
        case Bounded(operand, sign, bound):
            return _bounded(make_reader(operand), _OPERATORS[sign], bound)
        case Compared(left, sign, right):
            return _compared(make_reader(left), _OPERATORS[sign], make_reader(right))


def make_reader(operand: Operand) -> Callable[[Values], Any]:
    """Return a function that reads the operand from a log's values; _MISSING equals nothing."""
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


def _among(condition: Among) -> Test:
    read, choices = make_reader(condition.operand), condition.values
    if condition.wanted:
        return lambda values: read(values) in choices
    return lambda values: (found := read(values)) not in choices and found is not _MISSING


def _bounded(read: Callable[[Values], Any], compare: Callable[[Any, Any], bool], bound: int) -> Test:
    return lambda values: (found := read(values)) is not _MISSING and compare(found, bound)


def _compared(
    left: Callable[[Values], Any], compare: Callable[[Any, Any], bool], right: Callable[[Values], Any]
) -> Test:
    def test(values: Values) -> bool:
        first, second = left(values), right(values)
        return first is not _MISSING and second is not _MISSING and compare(first, second)

    return test
