"""Which two values may be compared with each other, and how."""

from dataclasses import dataclass

from hookfarm.conditions.arguments import described, unasked
from hookfarm.conditions.literals import Literal, is_comparable, is_integer, value_beside
from hookfarm.conditions.syntax import Among, Bounded, Compared, Condition, Operand
from hookfarm.conditions.tokens import Token, unexpected

OPERATORS = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
"""Each with the one that says the same when the sides are exchanged."""
_EQUALITY = ("==", "!=")


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a comparison. `start`: its first word, to point at."""

    value: Operand | Literal
    start: Token


def compare(left: Side, operator: Token, right: Side) -> Condition:
    """InvalidInput where these two cannot be compared, or not with this operator."""
    if isinstance(left.value, Operand) and isinstance(right.value, Operand):
        _check_pair(left, left.value, operator, right, right.value)
        return Compared(left.value, operator.text, right.value)
    if isinstance(left.value, Operand) and isinstance(right.value, Literal):
        return _with_literal(left.value, left.start, operator, operator.text, right.value)
    if isinstance(right.value, Operand) and isinstance(left.value, Literal):
        return _with_literal(right.value, right.start, operator, OPERATORS[operator.text], left.value)
    raise unexpected(left.start, "expected an argument on one side of the comparison")


def check_comparable(operand: Operand, start: Token) -> None:
    """InvalidInput where nothing can equal it."""
    if is_comparable(operand.type):
        return
    if operand.is_hash:
        raise unasked(operand, start)
    raise unexpected(start, f"{described(operand.type)} cannot be compared; its members can be")


def _with_literal(operand: Operand, start: Token, sign: Token, operator: str, literal: Literal) -> Condition:
    check_comparable(operand, start)
    if operator in _EQUALITY:
        return Among(operand, frozenset((value_beside(operand, literal),)), wanted=operator == "==")
    _check_order(operand, sign)
    bound = value_beside(operand, literal)
    assert isinstance(bound, int)
    return Bounded(operand, operator, bound)


def _check_order(operand: Operand, operator: Token) -> None:
    if operand.is_hash:
        raise unasked(operand, operator)
    if not is_integer(operand.type):
        what = described(operand.type)
        raise unexpected(operator, f"expected ==, !=, in or not in, since {what} has no order")


def _check_pair(left: Side, first: Operand, operator: Token, right: Side, second: Operand) -> None:
    for side, operand in ((left, first), (right, second)):
        check_comparable(operand, side.start)
        if operand.is_hash:
            raise unasked(operand, side.start)
    both_integers = is_integer(first.type) and is_integer(second.type)
    if not both_integers and first.type.base != second.type.base:
        allowed = f"{described(second.type)} cannot be compared with {described(first.type)}"
        raise unexpected(right.start, allowed)
    if operator.text not in _EQUALITY:
        _check_order(first, operator)
