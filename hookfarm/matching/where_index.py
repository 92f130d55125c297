"""Split a condition into a part that the index looks up and a part that is tested log by log.

A hundred thousand subscriptions to one event that differ in `to == 0x…` must not cost a hundred thousand
comparisons a log. Of the parts that must all hold,

- an equality on an indexed argument is a filter on its topic, since a log decodes only where its topics are
  the canonical words of their values;
- one equality on another argument is a look-up of its value, once the log is decoded;
- else one bound on an argument is a cut through the bounds in order.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any
from weakref import WeakValueDictionary

from hookfarm.abi.abi_types import EventSignature
from hookfarm.conditions.condition import (
    AllOf,
    Among,
    AnyOf,
    Bounded,
    Condition,
    Operand,
    Test,
    Value,
    compile_test,
    conjuncts,
    make_reader,
)
from hookfarm.conditions.grammar import parse
from hookfarm.matching.decoder import DecodedLogs


@dataclass(frozen=True)
class Argument:
    """One argument of an event, or a member of one: the value that a condition compares."""

    signature: EventSignature
    operand: Operand
    _read: Callable[[Sequence[Any]], Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_read", make_reader(self.operand))

    def read(self, decoded_logs: DecodedLogs) -> Any:
        """Return the log's value; one that equals no other if it does not decode or has no such member."""
        decoded = decoded_logs.decode(self.signature)
        return None if decoded is None else self._read(decoded.values)


@dataclass(frozen=True, slots=True)
class Lookup:
    """A look-up by an argument: `==` any of `values`, or a bound that it must be on the right side of."""

    argument: Argument
    operator: str
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class SplitCondition:
    """A condition in three parts: it holds if the log decodes and each part holds.

    `topics`: by position in the log, the words of which one must be there. `residual`: the test that is left;
    None = none.
    """

    topics: dict[int, tuple[str, ...]]
    lookup: Lookup | None
    residual: Test | None


_arguments: WeakValueDictionary[tuple[EventSignature, Operand], Argument] = WeakValueDictionary()
_tests: WeakValueDictionary[Condition, Test] = WeakValueDictionary()
"""The ones in use, shared: subscriptions mostly differ in a value or two and have the same residual test."""


def split(where: str, signature: EventSignature) -> SplitCondition:
    """Split a condition. Raises InvalidInput if it is wrong for this signature."""
    topics: dict[int, tuple[str, ...]] = {}
    left: list[Condition] = []
    for part in map(_merge_or, conjuncts(parse(where, signature))):
        position = _topic(part, signature)
        if isinstance(part, Among) and position is not None and position not in topics:
            topics[position] = tuple(sorted(_word(value) for value in part.values))
        else:
            left.append(part)
    looked_up = _choose_lookup(left)
    residual = tuple(part for part in left if part is not looked_up)
    lookup = None if looked_up is None else _lookup(looked_up, signature)
    return SplitCondition(topics, lookup, _test(residual))


def _choose_lookup(parts: Sequence[Condition]) -> Among | Bounded | None:
    """Choose the part that leaves the fewest logs, judged by its form."""
    equalities = (part for part in parts if isinstance(part, Among) and part.wanted)
    bounds = (part for part in parts if isinstance(part, Bounded))
    return next(equalities, None) or next(bounds, None)


def _lookup(part: Among | Bounded, signature: EventSignature) -> Lookup:
    key = (signature, part.operand)
    argument = _arguments.get(key)
    if argument is None:
        argument = _arguments[key] = Argument(*key)
    if isinstance(part, Among):
        return Lookup(argument, "==", tuple(part.values))
    return Lookup(argument, part.operator, (part.bound,))


def _test(parts: tuple[Condition, ...]) -> Test | None:
    if not parts:
        return None
    condition = parts[0] if len(parts) == 1 else AllOf(parts)
    test = _tests.get(condition)
    if test is None:
        test = _tests[condition] = compile_test(condition)
    return test


def _merge_or(part: Condition) -> Condition:
    """Rewrite `a == x or a in (y, z)` as `a in (x, y, z)`."""
    if not isinstance(part, AnyOf):
        return part
    choices = [_merge_or(each) for each in part.parts]
    equalities = [each for each in choices if isinstance(each, Among) and each.wanted]
    operands = {each.operand for each in equalities}
    if len(equalities) < len(choices) or len(operands) > 1:
        return part
    return Among(operands.pop(), frozenset(chain.from_iterable(each.values for each in equalities)), wanted=True)


def _topic(part: Condition, signature: EventSignature) -> int | None:
    """Return the position in the log's topics of an equality's argument, None if it is not indexed."""
    if not isinstance(part, Among) or not part.wanted or not signature.indexed[part.operand.steps[0]]:
        return None
    return sum(signature.indexed[: part.operand.steps[0]]) + (not signature.anonymous)


def _word(value: Value) -> str:
    """Return the one topic of a log whose indexed argument is `value` (Solidity ABI, "Events")."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return f"0x{value.hex():0<64}"
    return f"0x{value % 2**256:064x}"
