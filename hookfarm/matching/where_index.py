"""What of a condition the index can answer by looking it up, and what is left to be tested log by log.

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
from hookfarm.conditions.evaluation import Test, compiled, reader
from hookfarm.conditions.grammar import parse
from hookfarm.conditions.syntax import AllOf, Among, AnyOf, Bounded, Condition, Operand, Value, conjuncts
from hookfarm.matching.decoder import Meanings


@dataclass(frozen=True)
class Argument:
    """One value that every log of an event has, or may have."""

    signature: EventSignature
    operand: Operand
    _read: Callable[[Sequence[Any]], Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_read", reader(self.operand))

    def of(self, meanings: Meanings) -> Any:
        """Equal to nothing where the log does not decode or has no such member."""
        meaning = meanings.of(self.signature)
        return None if meaning is None else self._read(meaning.values)


@dataclass(frozen=True, slots=True)
class Lookup:
    """What of an argument is looked up: `==` any of some values, or a bound that it is on the right side of."""

    argument: Argument
    operator: str
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Narrowed:
    """A condition, taken apart: it holds where the log decodes and each part holds.

    `topics`: by position in the log, the words of which one must stand there. `rest`: what is left to be tested;
    None = nothing.
    """

    topics: dict[int, tuple[str, ...]]
    lookup: Lookup | None
    rest: Test | None


_arguments: "WeakValueDictionary[tuple[EventSignature, Operand], Argument]" = WeakValueDictionary()
_tests: "WeakValueDictionary[Condition, Test]" = WeakValueDictionary()
"""Those in use, one of each: subscriptions mostly differ in a value or two, and share what is left."""


def narrow(where: str, signature: EventSignature) -> Narrowed:
    """InvalidInput where the condition is wrong for this signature."""
    topics: dict[int, tuple[str, ...]] = {}
    left: list[Condition] = []
    for part in map(_united, conjuncts(parse(where, signature))):
        position = _topic(part, signature)
        if isinstance(part, Among) and position is not None and position not in topics:
            topics[position] = tuple(sorted(_word(value) for value in part.values))
        else:
            left.append(part)
    looked_up = _looked_up(left)
    rest = tuple(part for part in left if part is not looked_up)
    lookup = None if looked_up is None else _lookup(looked_up, signature)
    return Narrowed(topics, lookup, _test(rest))


def _looked_up(parts: Sequence[Condition]) -> Among | Bounded | None:
    """The part that leaves the fewest logs, as far as its form tells."""
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
        test = _tests[condition] = compiled(condition)
    return test


def _united(part: Condition) -> Condition:
    """`a == x or a in (y, z)` as `a in (x, y, z)`."""
    if not isinstance(part, AnyOf):
        return part
    choices = [_united(each) for each in part.parts]
    equalities = [each for each in choices if isinstance(each, Among) and each.wanted]
    operands = {each.operand for each in equalities}
    if len(equalities) < len(choices) or len(operands) > 1:
        return part
    return Among(operands.pop(), frozenset(chain.from_iterable(each.values for each in equalities)), wanted=True)


def _topic(part: Condition, signature: EventSignature) -> int | None:
    """The position in the log's topics of what an equality asks for; None where there is none."""
    if not isinstance(part, Among) or not part.wanted or not signature.indexed[part.operand.steps[0]]:
        return None
    return sum(signature.indexed[: part.operand.steps[0]]) + (not signature.anonymous)


def _word(value: Value) -> str:
    """The one topic that a log has where an indexed argument is `value` (Solidity ABI, "Events")."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return f"0x{value.hex():0<64}"
    return f"0x{value % 2**256:064x}"
