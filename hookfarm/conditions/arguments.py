"""What the names in a condition stand for: arguments of the event, their members, their lengths.

Arguments and members are named as a webhook shows them (`abi_types.names`): in the signature, or else
`arg<position>`. A member of a tuple goes by its name or its position, one of an array by its position.
"""

from collections.abc import Sequence

from hookfarm.abi.abi_types import TUPLE, AbiType, EventSignature, Parameter, names
from hookfarm.conditions.literals import is_comparable
from hookfarm.conditions.syntax import Operand
from hookfarm.conditions.tokens import NUMBER, Token, unexpected
from hookfarm.errors import InvalidInput

MAX_POSITION_DIGITS = 9
_SHOWN_CHARACTERS = 160
_LENGTH = AbiType("uint256")
_HASH_ONLY = "only the hash of this indexed argument is in the log, so that all it can be asked is"


def argument(signature: EventSignature, name: Token) -> Operand:
    """The argument of that name; InvalidInput where the event has none."""
    found = _named(signature.parameters, name, signature.name[:40])
    parameter = signature.parameters[found]
    return Operand((found,), parameter.type, is_hash=parameter.indexed and parameter.type.is_hashed_in_topics)


def member(operand: Operand, step: Token) -> Operand:
    """A member of an array or a tuple; InvalidInput where it can have none like that."""
    if operand.is_hash:
        raise unasked(operand, step)
    kind = operand.type
    if kind.sizes:
        return Operand((*operand.steps, _position(step, kind.sizes[-1])), kind.element)
    if kind.base != TUPLE:
        raise unexpected(step, f"{described(kind)} has no members")
    if step.kind == NUMBER:
        position = _position(step, len(kind.components))
    else:
        position = _named(kind.components, step, "this tuple")
    return Operand((*operand.steps, position), kind.components[position].type)


def length(operand: Operand, word: Token) -> Operand:
    """The number of members or bytes; InvalidInput where the value has neither. `word`: to point at."""
    if operand.is_hash:
        raise unasked(operand, word)
    if not operand.type.sizes and operand.type.base not in ("bytes", "string"):
        raise unexpected(word, f"{described(operand.type)} has no length; arrays, bytes and strings have")
    return Operand(operand.steps, _LENGTH, is_length=True)


def unasked(operand: Operand, token: Token) -> InvalidInput:
    """The refusal of anything but a comparison with a literal for what is in the log as a hash."""
    if is_comparable(operand.type):
        example = '"text"' if operand.type.base == "string" else "0x…"
        return unexpected(token, f"{_HASH_ONLY} ==, != or in with {example}")
    return unexpected(token, f"{_HASH_ONLY} nothing, since no literal is {described(operand.type)}")


def described(kind: AbiType) -> str:
    """With its article, for an error."""
    name = "array" if kind.sizes else kind.base
    if name == "bytes":
        return name
    return f"{'an' if name.startswith(('a', 'i')) else 'a'} {name}"


def _named(parameters: Sequence[Parameter], token: Token, owner: str) -> int:
    known = names(parameters)
    if token.kind == NUMBER or token.text not in known:
        listed = ", ".join(known) or "no arguments"
        shown = listed if len(listed) <= _SHOWN_CHARACTERS else f"{listed[: _SHOWN_CHARACTERS - 1]}…"
        raise unexpected(token, f"{owner} has {shown}")
    return known.index(token.text)


def _position(token: Token, size: int | None) -> int:
    allowed = "positions in an array count from 0" + ("" if size is None else f"; here to {size - 1}")
    if token.kind != NUMBER or not token.text.isdecimal() or len(token.text) > MAX_POSITION_DIGITS:
        raise unexpected(token, allowed)
    position = int(token.text)
    if size is not None and position >= size:
        raise unexpected(token, allowed)
    return position
