"""Recursive-descent parser of conditions; it checks types while parsing."""

import contextlib
from collections.abc import Callable
from functools import lru_cache

from hookfarm.abi.abi_types import AbiType, EventSignature
from hookfarm.conditions import comparisons
from hookfarm.conditions.comparisons import OPERATORS, Side, ValueOf, check_comparable, compare
from hookfarm.conditions.condition import AllOf, Among, AnyOf, Condition, Not, Operand, Placeholder, Value
from hookfarm.conditions.literals import (
    BOOLEANS,
    END,
    NAME,
    NUMBER,
    TEXT,
    Literal,
    Token,
    check_form,
    cut_numbers,
    number_reader,
    tokenize,
    unexpected_token,
    value_beside,
)
from hookfarm.errors import InvalidInput

MAX_DEPTH = 32
"""Max nesting of parentheses."""
MAX_FORMS = 4096
"""Max cached conditions without their numbers."""
MAX_COMPARISONS = 256
"""Max comparisons in one condition; each costs time per log. A list of any length counts as one."""
_KEYWORDS = {"and", "or", "not", "in"}
_BOOLEAN = AbiType("bool")
_CLOSING = {"(": ")", "[": "]"}


def parse(text: str, signature: EventSignature, value_of: ValueOf = value_beside) -> Condition:
    """Parse a condition on the arguments of `signature`.

    Raises InvalidInput with the problem, its column, and the allowed input.
    """
    return _ConditionParser(tokenize(text), signature, value_of).whole()


def check(text: str, signature: EventSignature) -> None:
    """Raise InvalidInput as `parse` does; faster if a cached condition differs only in its numbers."""
    with contextlib.suppress(InvalidInput):
        cut = cut_numbers(text)
        form = cut and parse_form(cut[0], signature)
        if cut and form:
            for place, number in zip(form[1], cut[1], strict=True):
                number_reader(place.operand, place.is_negative)(number)
            return
    parse(text, signature)


@lru_cache(MAX_FORMS)
def parse_form(text: str, signature: EventSignature) -> tuple[Condition, list[Placeholder]] | None:
    """Return the condition with a placeholder for each number, and the placeholders in order.

    None if a number is not a compared value, such as the position of a member. Raises InvalidInput.
    """
    numbers = [token.column for token in tokenize(text) if token.kind == NUMBER]
    found: dict[int, Placeholder] = {}

    def value_of(operand: Operand, literal: Literal) -> Value | Placeholder:
        if literal.token.kind != NUMBER:
            return value_beside(operand, literal)
        number = numbers.index(literal.token.column)
        found[number] = Placeholder(number, operand, literal.minus is not None)
        return found[number]

    condition = parse(text, signature, value_of)
    return (condition, [found[n] for n in range(len(numbers))]) if len(found) == len(numbers) else None


class _ConditionParser:
    """Parser of one condition; its methods are the rules of the grammar (see `hookfarm.conditions`)."""

    def __init__(self, tokens: list[Token], signature: EventSignature, value_of: ValueOf) -> None:
        self._value_of = value_of
        self._tokens = tokens
        self._next = 0
        self._signature = signature
        self._comparisons = 0

    def whole(self) -> Condition:
        found = self._any(depth=0)
        if self._peek.text in OPERATORS:
            raise unexpected_token(self._peek, "comparisons do not chain; join two of them with and")
        if self._peek.kind != END:
            raise unexpected_token(self._peek, "expected and, or, or the end")
        return found

    def _any(self, depth: int) -> Condition:
        parts = self._separated("or", lambda: self._all(depth))
        return parts[0] if len(parts) == 1 else AnyOf(parts)

    def _all(self, depth: int) -> Condition:
        parts = self._separated("and", lambda: self._term(depth))
        return parts[0] if len(parts) == 1 else AllOf(parts)

    def _separated(self, keyword: str, part: Callable[[], Condition]) -> tuple[Condition, ...]:
        parts = [part()]
        while self._skip(keyword):
            parts.append(part())
        return tuple(parts)

    def _term(self, depth: int) -> Condition:
        negated = False
        while self._skip("not"):
            negated = not negated
        found = self._grouped(depth) if self._at("(") else self._comparison()
        return Not(found) if negated else found

    def _grouped(self, depth: int) -> Condition:
        opening = self._take()
        if depth == MAX_DEPTH:
            raise unexpected_token(opening, f"parentheses may be nested at most {MAX_DEPTH} deep")
        found = self._any(depth + 1)
        self._expect(")", "expected and, or, or )")
        return found

    def _comparison(self) -> Condition:
        self._comparisons += 1
        if self._comparisons > MAX_COMPARISONS:
            allowed = f"at most {MAX_COMPARISONS} comparisons are allowed; join values with in"
            raise unexpected_token(self._peek, allowed)
        left = self._side()
        if self._peek.text in OPERATORS:
            return compare(left, self._take(), self._side(), self._value_of)
        if self._at("in") or (self._at("not") and self._after.text == "in"):
            wanted = not self._skip("not")
            self._take()
            return self._membership(left, wanted)
        if isinstance(left.value, Operand) and left.value.type == _BOOLEAN:
            return Among(left.value, frozenset((True,)), wanted=True)
        raise unexpected_token(self._peek, "expected ==, !=, <, <=, >, >=, in or not in")

    def _membership(self, left: Side, wanted: bool) -> Condition:
        if isinstance(left.value, Literal):
            raise unexpected_token(left.start, "expected an argument before in")
        check_comparable(left.value, left.start)
        opening = self._take()
        if opening.text not in _CLOSING:
            raise unexpected_token(opening, "expected a list, ( or [, after in")
        values = {self._value_of(left.value, self._literal("expected a literal"))}
        while self._skip(","):
            values.add(self._value_of(left.value, self._literal("expected a literal")))
        closing = _CLOSING[opening.text]
        self._expect(closing, f"expected , or {closing}")
        return Among(left.value, frozenset(values), wanted)

    def _side(self) -> Side:
        start = self._peek
        return Side(self._operand(), start)

    def _operand(self) -> Operand | Literal:
        token = self._peek
        if token.kind != NAME or token.text in BOOLEANS:
            return self._literal("expected an argument or a literal")
        if token.text == "length" and self._after.text == "(":
            self._take()
            self._take()
            named = self._peek
            measured = comparisons.length(self._argument(), named)
            self._expect(")", "expected )")
            return measured
        return self._argument()

    def _argument(self) -> Operand:
        name = self._take()
        if name.kind != NAME or name.text in _KEYWORDS | set(BOOLEANS):
            raise unexpected_token(name, "expected an argument or a literal")
        found = comparisons.argument(self._signature, name)
        while self._at(".") or self._at("["):
            if self._take().text == ".":
                found = comparisons.member(found, self._expect_kind(NAME, "expected the name of a member"))
            else:
                found = comparisons.member(found, self._expect_kind(NUMBER, "expected the position of a member"))
                self._expect("]", "expected ]")
        return found

    def _literal(self, allowed: str) -> Literal:
        minus = self._take() if self._at("-") else None
        token = self._take()
        is_literal = token.kind in (NUMBER, TEXT) or token.text in BOOLEANS
        if not is_literal or (minus and token.kind != NUMBER):
            raise unexpected_token(token, "expected a number" if minus else allowed)
        literal = Literal(token, minus)
        check_form(literal)
        return literal

    @property
    def _peek(self) -> Token:
        return self._tokens[self._next]

    @property
    def _after(self) -> Token:
        return self._tokens[min(self._next + 1, len(self._tokens) - 1)]

    def _at(self, text: str) -> bool:
        return self._peek.text == text

    def _take(self) -> Token:
        token = self._peek
        if token.kind != END:
            self._next += 1
        return token

    def _skip(self, text: str) -> bool:
        return self._at(text) and bool(self._take())

    def _expect(self, text: str, allowed: str) -> None:
        if not self._skip(text):
            raise unexpected_token(self._peek, allowed)

    def _expect_kind(self, kind: str, allowed: str) -> Token:
        token = self._take()
        if token.kind != kind:
            raise unexpected_token(token, allowed)
        return token
