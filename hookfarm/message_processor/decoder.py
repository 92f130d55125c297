"""What a log says under an event signature: its arguments by name, as JSON.

    address              lower-case hexadecimal          bytes, bytesN, function   hexadecimal
    uintN, intN          a number; beyond ±2^53 a decimal string
    string               text; where it is not UTF-8, its bytes in hexadecimal
    T[], T[N]            a list                       tuple   an object if all members are named, else a list
    indexed string, bytes, array, tuple                  the Keccak-256 hash that the topic holds

Parameters without a name, or with one that is taken, get the names of `abi_types.names`.

Other people's contracts write the data, and nothing obliges them to write what their topic0 promises.
Decoding is strict, and bounded by the size of the data: offsets that point at the same place over and over
can make a kilobyte expand to gigabytes.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, TypedDict

from eth_abi.decoding import ContextFramesBytesIO
from eth_abi.exceptions import DecodingError
from eth_abi.registry import registry

from hookfarm.abi.abi_types import TUPLE, AbiType, EventSignature, Parameter, names
from hookfarm.message_processor.json_numbers import json_integer
from hookfarm.records import Event

MAX_BYTES_READ = 8 * 1024 * 1024
"""At most this much is read in one decoding, which then takes about a second."""
_WIRE_BASES = {"address": "uint160", "string": "bytes", "function": "bytes24"}
"""Read as something simpler: eth_abi would raise at text that is not UTF-8, and is slow with addresses."""


class Decoded(TypedDict):
    """The `event` field of a webhook."""

    name: str
    args: dict[str, Any]


class Meaning:
    """What one log says under one signature: its values, and how a webhook shows them."""

    def __init__(self, signature: EventSignature, found: list[Any]) -> None:
        self._signature = signature
        self.values = found

    @cached_property
    def shown(self) -> Decoded:
        return show(self._signature, self.values)


class Meanings:
    """What one event means under each signature; decodes at most once per signature object."""

    def __init__(self, event: Event) -> None:
        self._event = event
        self._known: dict[EventSignature, Meaning | None] = {}

    def of(self, signature: EventSignature) -> Meaning | None:
        """None where the log does not hold what the signature declares."""
        if signature not in self._known:
            found = values(signature, self._event["topics"], self._event["data"])
            self._known[signature] = None if found is None else Meaning(signature, found)
        return self._known[signature]

    def under(self, signature: EventSignature) -> Decoded | None:
        """As a webhook shows it; None where the log does not hold what the signature declares."""
        meaning = self.of(signature)
        return None if meaning is None else meaning.shown


def decode(signature: EventSignature, topics: Sequence[str], data: str) -> Decoded | None:
    """The event of a log with these topics and data, or None where they do not fit the signature."""
    found = values(signature, topics, data)
    return None if found is None else show(signature, found)


def values(signature: EventSignature, topics: Sequence[str], data: str) -> list[Any] | None:
    """The values of the parameters, in order, or None where the log does not fit the signature.

    Integers and addresses `int`, booleans `bool`, everything of bytes (strings too) `bytes`, arrays and tuples
    sequences; where only a hash is in the topic, the topic.
    """
    if len(topics) != signature.topic_count:
        return None
    indexed_topics = topics[0 if signature.anonymous else 1 :]
    try:
        return _values(signature.parameters, indexed_topics, bytes.fromhex(data[2:]))
    except (DecodingError, OverflowError):
        return None


def show(signature: EventSignature, found: Sequence[Any]) -> Decoded:
    """Values as a webhook shows them."""
    shown = [
        value if p.indexed and p.type.is_hashed_in_topics else _json(p.type, value)
        for p, value in zip(signature.parameters, found, strict=True)
    ]
    return {"name": signature.name, "args": dict(zip(names(signature.parameters), shown, strict=True))}


def _values(parameters: Sequence[Parameter], topics: Sequence[str], data: bytes) -> list[Any]:
    in_data = [p.type for p in parameters if not p.indexed]
    indexed = list(zip((p.type for p in parameters if p.indexed), topics, strict=True))
    words = [(kind, topic) for kind, topic in indexed if not kind.is_hashed_in_topics]
    plain = iter(_read([kind for kind, _ in words], bytes.fromhex("".join(topic[2:] for _, topic in words))))
    from_topics = iter([topic if kind.is_hashed_in_topics else next(plain) for kind, topic in indexed])
    from_data = iter(_read(in_data, data))
    return [next(from_topics if p.indexed else from_data) for p in parameters]


def _read(types: Sequence[AbiType], data: bytes) -> Sequence[Any]:
    """The values that `data` holds for `types`; DecodingError or OverflowError where it does not."""
    if not types:
        return []
    # eth_abi checks a tuple's offsets by reading its fixed part once more, at every level.
    doublings = 1 + max(kind.tuple_depth for kind in types)
    stream = _BoundedStream(data, min((len(data) + 32) << doublings, MAX_BYTES_READ))
    found: Sequence[Any] = registry.get_tuple_decoder(*map(_wire_type, types))(stream)
    return found


class _BoundedStream(ContextFramesBytesIO):
    """Ends the decoding when more has been read than an honest encoding of this length needs."""

    def __init__(self, data: bytes, most: int) -> None:
        super().__init__(data)  # type: ignore[no-untyped-call]  # eth_abi leaves it untyped
        self._left = most

    def read(self, size: int | None = -1, /) -> bytes:
        found = super().read(size)
        self._left -= len(found)
        if self._left < 0:
            raise DecodingError("offsets make the data larger than it is")
        return found


def _wire_type(kind: AbiType) -> str:
    if kind.sizes:
        size = "" if kind.sizes[-1] is None else str(kind.sizes[-1])
        return f"{_wire_type(kind.element)}[{size}]"
    if kind.base == TUPLE:
        return f"({','.join(_wire_type(c.type) for c in kind.components)})"
    return _WIRE_BASES.get(kind.base, kind.base)


def _json(kind: AbiType, value: Any) -> Any:
    if kind.sizes:
        element = kind.element
        return [_json(element, item) for item in value]
    if kind.base == TUPLE:
        return _tuple(kind.components, value)
    convert: Callable[[Any], Any] = _ELEMENTARY.get(kind.base, _number_or_bytes)
    return convert(value)


def _tuple(components: Sequence[Parameter], values: Sequence[Any]) -> Any:
    converted = [_json(c.type, value) for c, value in zip(components, values, strict=True)]
    if all(c.name for c in components):
        return dict(zip(names(components), converted, strict=True))
    return converted


def _number_or_bytes(value: int | bytes) -> Any:
    return f"0x{value.hex()}" if isinstance(value, bytes) else json_integer(value)


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return f"0x{value.hex()}"


_ELEMENTARY: dict[str, Callable[[Any], Any]] = {"address": "0x{:040x}".format, "bool": bool, "string": _text}
