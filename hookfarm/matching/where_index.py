"""Split a condition into a part that the index looks up and a part that is tested log by log.

A hundred thousand subscriptions to one event that differ in `to == 0x…` must not cost a hundred thousand
comparisons a log. A conjunction is split as follows:

- an equality on an indexed argument becomes a filter on its topic: a log decodes only if its topics are canonical
  words;
- one equality on another argument becomes a look-up of the decoded value;
- without one, a bound on an argument becomes a binary search in the sorted bounds.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from hookfarm.abi.abi_types import EventSignature
from hookfarm.conditions import grammar, literals
from hookfarm.conditions.condition import (
    OPERATORS,
    AllOf,
    Among,
    AnyOf,
    Bounded,
    Condition,
    Operand,
    Parameters,
    Placeholder,
    Test,
    Value,
    compile_test,
    conjuncts,
    make_reader,
    parameters_of,
    without_values,
)
from hookfarm.conditions.grammar import MAX_FORMS
from hookfarm.errors import InvalidInput
from hookfarm.matching.decoder import DecodedLogs

MAX_WHOLE_FORMS = 256
"""Max cached conditions with their numbers, because of quoted texts or positions of members."""


@dataclass(frozen=True)
class Argument:
    """One argument of an event, or a member of one: the operand of a comparison."""

    signature: EventSignature
    operand: Operand
    _read: Callable[[Sequence[Any]], Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_read", make_reader(self.operand))

    def read(self, decoded_logs: DecodedLogs) -> Any:
        """Return the log's value; None, which equals no value, if it does not decode or lacks the member."""
        decoded = decoded_logs.decode(self.signature)
        return None if decoded is None else self._read(decoded.values)


class Lookup(NamedTuple):
    """A look-up by an argument: `==` any of `values`, or a comparison with one bound."""

    argument: Argument
    operator: str
    values: tuple[Any, ...]

    def matches(self, value: Any) -> bool:
        """Return whether `value`, a result of `argument.read`, passes."""
        if self.operator == "==":
            return value in self.values
        return isinstance(value, int) and bool(OPERATORS[self.operator](value, self.values[0]))


class SplitCondition(NamedTuple):
    """A condition in three parts. It holds if the log decodes and each part holds.

    `topics`: by position in the log, the allowed words. `residual`: the remaining test with its `parameters`;
    None = no test.
    """

    topics: dict[int, tuple[str, ...]]
    lookup: Lookup | None
    residual: Test | None
    parameters: Parameters = ()


NO_CONDITION = SplitCondition({}, lookup=None, residual=None)


_Values = tuple[Value | Placeholder, ...]


@dataclass(frozen=True, slots=True)
class _Form:
    """The common part of conditions that differ only in their numbers. Values may be placeholders.

    `numbers`: one reader per number.
    """

    numbers: tuple[Callable[[str], Value], ...]
    topics: tuple[tuple[int, _Values], ...]
    lookup: tuple[Argument, str, _Values] | None
    residual: Test | None
    parameters: tuple[frozenset[Value | Placeholder] | int | Placeholder, ...]

    def fill(self, numbers: Sequence[str]) -> SplitCondition:
        """Return the condition with these numbers. Raises InvalidInput without a meaningful column."""
        known = [read(number) for read, number in zip(self.numbers, numbers, strict=True)]
        topics = {position: _words(_fill(values, known)) for position, values in self.topics}
        lookup = None
        if self.lookup is not None:
            argument, operator, values = self.lookup
            lookup = Lookup(argument, operator, _fill(values, known))
        parameters = tuple([_parameter(p, known) for p in self.parameters]) if self.parameters else ()
        return SplitCondition(topics, lookup, self.residual, parameters)


def _fill(values: _Values, known: Sequence[Value]) -> tuple[Value, ...]:
    """Return the values without duplicates."""
    if len(values) == 1:
        value = values[0]
        return (known[value.number] if type(value) is Placeholder else value,)  # type: ignore[return-value]
    filled = [known[value.number] if isinstance(value, Placeholder) else value for value in values]
    return tuple(dict.fromkeys(filled))


def _parameter(parameter: Any, known: Sequence[Value]) -> Any:
    if isinstance(parameter, frozenset):
        return frozenset(_fill(tuple(parameter), known))
    return known[parameter.number] if isinstance(parameter, Placeholder) else parameter


_arguments: WeakValueDictionary[tuple[EventSignature, Operand], Argument] = WeakValueDictionary()
_tests: WeakValueDictionary[Condition, Test] = WeakValueDictionary()
"""Shared by all conditions in use, which mostly differ in a value or two."""


def split(where: str, signature: EventSignature) -> SplitCondition:
    """Split a condition. Raises InvalidInput if it is invalid for this signature.

    Conditions that differ only in their numbers share one parse.
    """
    with contextlib.suppress(InvalidInput):  # Raised again below, with its column in `where`.
        if found := _split_form(where, signature):
            return found
    if len(where) > literals.MAX_CUT_CHARACTERS:
        return _form(grammar.parse(where, signature), (), signature).fill(())
    return _form_of(where, signature).fill(())


def _split_form(where: str, signature: EventSignature) -> SplitCondition | None:
    cut = literals.cut_numbers(where)
    form = cut and _form_of_numbers(cut[0], signature)
    return form.fill(cut[1]) if cut and form else None


@lru_cache(MAX_FORMS)
def _form_of_numbers(text: str, signature: EventSignature) -> _Form | None:
    found = grammar.parse_form(text, signature)
    return None if found is None else _form(*found, signature)


@lru_cache(MAX_WHOLE_FORMS)
def _form_of(where: str, signature: EventSignature) -> _Form:
    return _form(grammar.parse(where, signature), (), signature)


def _form(condition: Condition, placeholders: Sequence[Placeholder], signature: EventSignature) -> _Form:
    topics: dict[int, _Values] = {}
    left: list[Condition] = []
    for part in map(_merge_or, conjuncts(condition)):
        position = _topic(part, signature)
        if isinstance(part, Among) and position is not None and position not in topics:
            topics[position] = tuple(part.values)
        else:
            left.append(part)
    looked_up = _choose_lookup(left)
    residual = tuple(part for part in left if part is not looked_up)
    lookup = None if looked_up is None else _lookup(looked_up, signature)
    parameters = tuple(chain.from_iterable(map(parameters_of, residual)))
    numbers = tuple(literals.number_reader(place.operand, place.is_negative) for place in placeholders)
    return _Form(numbers, tuple(topics.items()), lookup, _test(residual), parameters)


def _choose_lookup(parts: Sequence[Condition]) -> Among | Bounded | None:
    """Return the most selective part, judged by its form."""
    equalities = (part for part in parts if isinstance(part, Among) and part.wanted)
    bounds = (part for part in parts if isinstance(part, Bounded))
    return next(equalities, None) or next(bounds, None)


def _lookup(part: Among | Bounded, signature: EventSignature) -> tuple[Argument, str, _Values]:
    key = (signature, part.operand)
    argument = _arguments.get(key)
    if argument is None:
        argument = _arguments[key] = Argument(*key)
    if isinstance(part, Among):
        return argument, "==", tuple(part.values)
    return argument, part.operator, (part.bound,)


def _test(parts: tuple[Condition, ...]) -> Test | None:
    if not parts:
        return None
    condition = without_values(parts[0] if len(parts) == 1 else AllOf(parts))
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
    """Return the position in the log's topics of an equality's argument; None if it is not indexed."""
    if not isinstance(part, Among) or not part.wanted or not signature.indexed[part.operand.steps[0]]:
        return None
    return sum(signature.indexed[: part.operand.steps[0]]) + (not signature.anonymous)


def _words(values: Sequence[Value]) -> tuple[str, ...]:
    return (_word(values[0]),) if len(values) == 1 else tuple(sorted(map(_word, values)))


def _word(value: Value) -> str:
    """Return the topic of an indexed argument with this value (Solidity ABI, "Events")."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return f"0x{value.hex():0<64}"
    return f"0x{value % 2**256:064x}"
