"""A checked condition as a function of the values of a decoded log.

Built of closures once, when the subscription is compiled; what runs for a log is comparisons alone.
"""

import operator
from collections.abc import Callable, Sequence
from typing import Any

from hookfarm.conditions.syntax import AllOf, Among, AnyOf, Bounded, Compared, Condition, Not, Operand

Values = Sequence[Any]
"""By position of the parameter (see `syntax`)."""
Test = Callable[[Values], bool]

_MISSING = object()
"""Read where an array has no such member."""
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


def compiled(condition: Condition) -> Test:
    """Whether the condition holds for these values; never raises for values of the signature's types."""
    match condition:
        case AllOf(parts):
            tests = [compiled(part) for part in parts]
            return lambda values: all(test(values) for test in tests)
        case AnyOf(parts):
            tests = [compiled(part) for part in parts]
            return lambda values: any(test(values) for test in tests)
        case Not(inner):
            refused = compiled(inner)
            return lambda values: not refused(values)
        case Among():
            return _among(condition)
        case Bounded(operand, sign, bound):
            return _bounded(reader(operand), _OPERATORS[sign], bound)
        case Compared(left, sign, right):
            return _compared(reader(left), _OPERATORS[sign], reader(right))


def reader(operand: Operand) -> Callable[[Values], Any]:
    """Takes the operand's value out of the log's; something equal to nothing where it is not there."""
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
    read, choices = reader(condition.operand), condition.values
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
