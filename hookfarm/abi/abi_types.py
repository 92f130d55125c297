"""An event's signature as data: its name, its parameters and their ABI types (Solidity ABI specification).

Elementary types are canonical (`uint256`, never `uint`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from eth_hash.auto import keccak

TUPLE = "tuple"
_DYNAMIC_BASES = ("bytes", "string")


@dataclass(frozen=True)
class AbiType:
    """A type of the Solidity ABI: `base` is an elementary type or `tuple`; only a tuple has components.

    `sizes` are its array dimensions, the innermost first; None = any length: `uint8[3][]` has (3, None).
    """

    base: str
    components: "tuple[Parameter, ...]" = ()
    sizes: tuple[int | None, ...] = ()

    @property
    def canonical(self) -> str:
        """The type's text in the signature that topic0 is the hash of."""
        base = self.base if self.base != TUPLE else f"({','.join(c.type.canonical for c in self.components)})"
        return base + "".join("[]" if size is None else f"[{size}]" for size in self.sizes)

    @property
    def is_hashed_in_topics(self) -> bool:
        """Whether the topic of an indexed argument is its Keccak-256 hash."""
        return bool(self.sizes) or self.base == TUPLE or self.base in _DYNAMIC_BASES

    @property
    def tuple_depth(self) -> int:
        """Depth of nested tuples; 0 = no tuple."""
        return (self.base == TUPLE) + max((c.type.tuple_depth for c in self.components), default=0)

    @property
    def element(self) -> "AbiType":
        """The type of an array's members."""
        return AbiType(self.base, self.components, self.sizes[:-1])


@dataclass(frozen=True)
class Parameter:
    """A parameter of an event or a member of a tuple; an empty name = unnamed."""

    name: str
    type: AbiType
    indexed: bool = False


def names(parameters: Sequence[Parameter]) -> list[str]:
    """Return a distinct name for each parameter, in order.

    An unnamed parameter is called `arg<position>`, from 0. A duplicate name gets the first free number as suffix:
    `a`, `a0`, `a1` (both as in go-ethereum's abigen).
    """
    used: dict[str, None] = {}
    for position, parameter in enumerate(parameters):
        wanted = parameter.name or f"arg{position}"
        name, number = wanted, 0
        while name in used:
            name, number = f"{wanted}{number}", number + 1
        used[name] = None
    return list(used)


@dataclass(frozen=True, eq=False)
class EventSignature:
    """An event as its contract declares it.

    A declaration without `indexed`, such as `Transfer(address,address,uint256)`, is a short form: it identifies
    the event, but not the positions of its arguments.
    """

    name: str
    parameters: tuple[Parameter, ...]
    anonymous: bool = False

    @cached_property
    def canonical(self) -> str:
        """The input of the topic0 hash: `Transfer(address,address,uint256)`."""
        return f"{self.name}({','.join(p.type.canonical for p in self.parameters)})"

    @cached_property
    def topic0(self) -> str | None:
        """Keccak-256 of the canonical form in hexadecimal; None for an anonymous event."""
        return None if self.anonymous else "0x" + keccak(self.canonical.encode()).hex()

    @cached_property
    def indexed(self) -> tuple[bool, ...]:
        return tuple(p.indexed for p in self.parameters)

    @cached_property
    def topic_count(self) -> int:
        """Number of topics of a log that matches this declaration."""
        return sum(self.indexed) + (not self.anonymous)

    @cached_property
    def is_short_form(self) -> bool:
        """Whether only topic0 is compared, because no parameter is indexed."""
        return not self.anonymous and not any(self.indexed)


_ADDRESS = AbiType("address")

NATIVE_TRANSFER = EventSignature(
    "transfer",
    (
        Parameter("from", _ADDRESS, indexed=True),
        Parameter("to", _ADDRESS, indexed=True),
        Parameter("value", AbiType("uint256")),
    ),
    anonymous=True,
)
"""A transfer of the chain's own currency as an event, for conditions on it."""
