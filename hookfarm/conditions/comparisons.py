"""Arguments of an event as conditions name them, and the rules for comparable values.

Arguments and members have the names of the webhook (`abi_types.names`): the signature's, else `arg<position>`. A
member of a tuple is selected by name or position, a member of an array by position.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hookfarm.abi.abi_types import TUPLE, AbiType, EventSignature, Parameter, names
from hookfarm.conditions.condition import Among, Bounded, Compared, Condition, Operand, Placeholder, Value
from hookfarm.conditions.literals import (
    NUMBER,
    Literal,
    Token,
    is_comparable,
    is_integer,
    unexpected_token,
)
from hookfarm.errors import InvalidInput

OPERATORS = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
"""Each operator with its equivalent for exchanged sides."""
_EQUALITY = ("==", "!=")
MAX_POSITION_DIGITS = 9
_SHOWN_CHARACTERS = 160
_LENGTH = AbiType("uint256")
_HASH_ONLY = "a log contains only the hash of this indexed argument; allowed is"


ValueOf = Callable[[Operand, Literal], Value | Placeholder]
"""Function that returns the value of a literal for an operand. Raises InvalidInput if the type does not fit."""


@dataclass(frozen=True, slots=True)
class Side:
    """A side of a comparison; `start` is its first token, for errors."""

    value: Operand | Literal
    start: Token


def argument(signature: EventSignature, name: Token) -> Operand:
    """Return the argument with this name. Raises InvalidInput for an unknown name."""
    found = _named(signature.parameters, name, signature.name[:40])
    parameter = signature.parameters[found]
    return Operand((found,), parameter.type, is_hash=parameter.indexed and parameter.type.is_hashed_in_topics)


def member(operand: Operand, step: Token) -> Operand:
    """Return a member of an array or a tuple. Raises InvalidInput for any other type or an unknown member."""
    if operand.is_hash:
        raise hash_only_error(operand, step)
    kind = operand.type
    if kind.sizes:
        return Operand((*operand.steps, _position(step, kind.sizes[-1])), kind.element)
    if kind.base != TUPLE:
        raise unexpected_token(step, f"{describe_type(kind)} has no members")
    if step.kind == NUMBER:
        position = _position(step, len(kind.components))
    else:
        position = _named(kind.components, step, "this tuple")
    return Operand((*operand.steps, position), kind.components[position].type)


def length(operand: Operand, token: Token) -> Operand:
    """Return the number of members or bytes. Raises InvalidInput at `token` for a type without a length."""
    if operand.is_hash:
        raise hash_only_error(operand, token)
    if not operand.type.sizes and operand.type.base not in ("bytes", "string"):
        raise unexpected_token(
            token, f"{describe_type(operand.type)} has no length; arrays, bytes and strings have"
        )
    return Operand(operand.steps, _LENGTH, is_length=True)


def hash_only_error(operand: Operand, token: Token) -> InvalidInput:
    """Return the error for a hashed argument that is compared with anything but a literal."""
    if is_comparable(operand.type):
        example = '"text"' if operand.type.base == "string" else "0x…"
        return unexpected_token(token, f"{_HASH_ONLY} ==, != or in with {example}")
    what = describe_type(operand.type)
    return unexpected_token(token, f"{_HASH_ONLY} no comparison, because {what} has no literal")


def describe_type(kind: AbiType) -> str:
    """Return the name of a type with its article, for an error message."""
    name = "array" if kind.sizes else kind.base
    if name == "bytes":
        return name
    return f"{'an' if name.startswith(('a', 'i')) else 'a'} {name}"


def compare(left: Side, operator: Token, right: Side, value_of: ValueOf) -> Condition:
    """Return the comparison. Raises InvalidInput if the operator does not apply to these sides."""
    if isinstance(left.value, Operand) and isinstance(right.value, Operand):
        _check_pair(left, left.value, operator, right, right.value)
        return Compared(left.value, operator.text, right.value)
    if isinstance(left.value, Operand) and isinstance(right.value, Literal):
        return _with_literal(left.value, left.start, operator, operator.text, right.value, value_of)
    if isinstance(right.value, Operand) and isinstance(left.value, Literal):
        return _with_literal(right.value, right.start, operator, OPERATORS[operator.text], left.value, value_of)
    raise unexpected_token(left.start, "expected an argument on one side of the comparison")


def check_comparable(operand: Operand, start: Token) -> None:
    """Raise InvalidInput for an operand that no value can equal."""
    if is_comparable(operand.type):
        return
    if operand.is_hash:
        raise hash_only_error(operand, start)
    raise unexpected_token(start, f"{describe_type(operand.type)} cannot be compared; its members can be")


def _named(parameters: Sequence[Parameter], token: Token, owner: str) -> int:
    known = names(parameters)
    if token.kind == NUMBER or token.text not in known:
        listed = ", ".join(known) or "no arguments"
        shown = listed if len(listed) <= _SHOWN_CHARACTERS else f"{listed[: _SHOWN_CHARACTERS - 1]}…"
        raise unexpected_token(token, f"{owner} has {shown}")
    return known.index(token.text)


def _position(token: Token, size: int | None) -> int:
    allowed = "positions in an array count from 0" + ("" if size is None else f"; here to {size - 1}")
    if token.kind != NUMBER or not token.text.isdecimal() or len(token.text) > MAX_POSITION_DIGITS:
        raise unexpected_token(token, allowed)
    position = int(token.text)
    if size is not None and position >= size:
        raise unexpected_token(token, allowed)
    return position


def _with_literal(
    operand: Operand, start: Token, sign: Token, operator: str, literal: Literal, value_of: ValueOf
) -> Condition:
    check_comparable(operand, start)
    if operator in _EQUALITY:
        return Among(operand, frozenset((value_of(operand, literal),)), wanted=operator == "==")
    _check_order(operand, sign)
    bound = value_of(operand, literal)
    assert isinstance(bound, int | Placeholder)
    return Bounded(operand, operator, bound)


def _check_order(operand: Operand, operator: Token) -> None:
    if operand.is_hash:
        raise hash_only_error(operand, operator)
    if not is_integer(operand.type):
        what = describe_type(operand.type)
        raise unexpected_token(operator, f"expected ==, !=, in or not in, because {what} has no order")


def _check_pair(left: Side, first: Operand, operator: Token, right: Side, second: Operand) -> None:
    for side, operand in ((left, first), (right, second)):
        check_comparable(operand, side.start)
        if operand.is_hash:
            raise hash_only_error(operand, side.start)
    both_integers = is_integer(first.type) and is_integer(second.type)
    if not both_integers and first.type.base != second.type.base:
        allowed = f"{describe_type(second.type)} cannot be compared with {describe_type(first.type)}"
        raise unexpected_token(right.start, allowed)
    if operator.text not in _EQUALITY:
        _check_order(first, operator)
