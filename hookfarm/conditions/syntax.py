"""A checked condition: every name resolved to where its value stands, every literal turned into a value.

Values are those of a decoded log before it becomes JSON (`decoder.values`): integers and addresses `int`,
booleans `bool`, strings and bytes `bytes`, arrays and tuples sequences, hashes in topics `0x…`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from hookfarm.abi.abi_types import AbiType

Value = int | bool | bytes | str


@dataclass(frozen=True, slots=True)
class Operand:
    """Where a value stands: `steps` are the position of the parameter, then of the member, and so on.

    `is_length`: not the value itself but its number of members or bytes. `is_hash`: a hash stands for it.
    """

    steps: tuple[int, ...]
    type: AbiType
    is_length: bool = False
    is_hash: bool = False


@dataclass(frozen=True, slots=True)
class Among:
    """The value is one of `values` (`==`, `in`), or is there and none of them (`!=`, `not in`)."""

    operand: Operand
    values: frozenset[Value]
    wanted: bool


@dataclass(frozen=True, slots=True)
class Bounded:
    """An integer on the right side of a bound: `<`, `<=`, `>`, `>=`."""

    operand: Operand
    operator: str
    bound: int


@dataclass(frozen=True, slots=True)
class Compared:
    """Two values of the log; order only between integers."""

    left: Operand
    operator: str
    right: Operand


@dataclass(frozen=True, slots=True)
class Not:
    inner: "Condition"


@dataclass(frozen=True, slots=True)
class AllOf:
    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    parts: tuple["Condition", ...]


Condition = Among | Bounded | Compared | Not | AllOf | AnyOf


def conjuncts(condition: Condition) -> Iterator[Condition]:
    """The conditions that must all hold for `condition` to hold."""
    if isinstance(condition, AllOf):
        for part in condition.parts:
            yield from conjuncts(part)
    else:
        yield condition
