"""Decode a log by an event signature: its arguments by name, as JSON.

    address              lower-case hexadecimal          bytes, bytesN, function   hexadecimal
    uintN, intN          a number; beyond ±2^53 a decimal string
    string               text; hexadecimal if it is not UTF-8
    T[], T[N]            a list                       tuple   an object if all members are named, else a list
    indexed string, bytes, array, tuple                  the Keccak-256 hash in the topic

Parameters without a name or with a duplicate name get the names of `abi_types.names`.

Any contract may write any data under any topic0. So decoding is strict, and bounded by the size of the data:
repeated offsets can expand a kilobyte to gigabytes.

Values of one word (all elementary types but `string` and `bytes`, in topics or data) are read here. That is as
strict as eth_abi in a tenth of its time, and most events have no other values. Words are 64 hexadecimal digits.
"""

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any, TypedDict
from weakref import WeakKeyDictionary

from eth_abi.decoding import ContextFramesBytesIO
from eth_abi.exceptions import DecodingError, InsufficientDataBytes, NonEmptyPaddingBytes
from eth_abi.registry import registry

from hookfarm.abi.abi_types import TUPLE, AbiType, EventSignature, Parameter, names
from hookfarm.records import Event

WORD_DIGITS = 64
ReadWord = Callable[[str], Any]
"""Reader of one word. Raises eth_abi's NonEmptyPaddingBytes unless it is the canonical encoding of a value."""


def word_reader(kind: AbiType) -> ReadWord | None:
    """Return the reader of a type's values; None unless each value is exactly one word."""
    if kind.sizes or kind.base in (TUPLE, "string", "bytes"):
        return None
    if kind.base == "bool":
        return _boolean
    if kind.base.startswith("int"):
        return partial(_signed, 1 << (int(kind.base.removeprefix("int")) - 1))
    if kind.base.startswith(("bytes", "function")):
        size = 24 if kind.base == "function" else int(kind.base.removeprefix("bytes"))
        return partial(_left_aligned, 2 * size, "0" * (WORD_DIGITS - 2 * size))
    bits = 160 if kind.base == "address" else int(kind.base.removeprefix("uint"))
    return partial(_unsigned, bits)


def _unsigned(bits: int, word: str) -> int:
    value = int(word, 16)
    if value >> bits:
        raise NonEmptyPaddingBytes(word)
    return value


def _signed(limit: int, word: str) -> int:
    value = int(word, 16)
    if value >> 255:
        value -= 1 << 256
    if not -limit <= value < limit:
        raise NonEmptyPaddingBytes(word)
    return value


def _boolean(word: str) -> bool:
    return bool(_unsigned(1, word))


def _left_aligned(digits: int, padding: str, word: str) -> bytes:
    if word[digits:] != padding:
        raise NonEmptyPaddingBytes(word)
    return bytes.fromhex(word[:digits])


MAX_EXACT_INTEGER = 2**53
"""Integers beyond ± this are strings in JSON, because many parsers read numbers as doubles."""
MAX_BYTES_READ = 8 * 1024 * 1024
"""Max bytes read in one decoding; takes about a second."""
_WIRE_BASES = {"address": "uint160", "string": "bytes", "function": "bytes24"}
"""Read as simpler types: eth_abi raises an error for text that is not UTF-8, and is slow with addresses."""


def json_integer(value: int) -> int | str:
    """Return the number up to ±2^53, beyond that its decimal digits."""
    return value if -MAX_EXACT_INTEGER <= value <= MAX_EXACT_INTEGER else str(value)


class WebhookEventField(TypedDict):
    """The `event` field of a webhook."""

    name: str
    args: dict[str, Any]


class DecodedLog:
    """One log decoded by one signature: the values, and their JSON for a webhook."""

    def __init__(self, signature: EventSignature, values: list[Any]) -> None:
        self._signature = signature
        self.values = values

    @cached_property
    def json(self) -> WebhookEventField:
        return to_json(self._signature, self.values)


class DecodedLogs:
    """One event decoded by several signatures, at most once per signature object."""

    def __init__(self, event: Event) -> None:
        self._event = event
        self._decoded: dict[EventSignature, DecodedLog | None] = {}

    def decode(self, signature: EventSignature) -> DecodedLog | None:
        """Return the decoded log; None if it does not fit the signature."""
        if signature not in self._decoded:
            values = decode_values(signature, self._event["topics"], self._event["data"])
            self._decoded[signature] = None if values is None else DecodedLog(signature, values)
        return self._decoded[signature]

    def as_json(self, signature: EventSignature) -> WebhookEventField | None:
        """Return the JSON for a webhook; None if the log does not fit the signature."""
        decoded = self.decode(signature)
        return None if decoded is None else decoded.json


def decode(signature: EventSignature, topics: Sequence[str], data: str) -> WebhookEventField | None:
    """Return the event of a log with these topics and data; None if they do not fit the signature."""
    values = decode_values(signature, topics, data)
    return None if values is None else to_json(signature, values)


def decode_values(signature: EventSignature, topics: Sequence[str], data: str) -> list[Any] | None:
    """Return the values of the parameters, in order; None if the log does not fit the signature.

    Integers and addresses are `int`, booleans `bool`, byte types and strings `bytes`, arrays and tuples sequences.
    An indexed argument that is hashed is its topic.
    """
    if len(topics) != signature.topic_count:
        return None
    try:
        return _layout(signature).values(topics, data)
    except (DecodingError, OverflowError):
        return None


def to_json(signature: EventSignature, values: Sequence[Any]) -> WebhookEventField:
    """Return decoded values as the `event` field of a webhook."""
    arguments = [
        value if p.indexed and p.type.is_hashed_in_topics else _json(p.type, value)
        for p, value in zip(signature.parameters, values, strict=True)
    ]
    return {"name": signature.name, "args": dict(zip(names(signature.parameters), arguments, strict=True))}


class _Layout:
    """The positions of a signature's values in a log."""

    def __init__(self, signature: EventSignature) -> None:
        topic = 0 if signature.anonymous else 1
        self._count = len(signature.parameters)
        self._indexed: list[tuple[int, int, ReadWord | None]] = []
        self._in_data: list[int] = []
        for position, parameter in enumerate(signature.parameters):
            if parameter.indexed:
                self._indexed.append((position, topic + len(self._indexed), word_reader(parameter.type)))
            else:
                self._in_data.append(position)
        self._types = [signature.parameters[position].type for position in self._in_data]
        readers = [word_reader(kind) for kind in self._types]
        self._words = None if None in readers else [read for read in readers if read]

    def values(self, topics: Sequence[str], data: str) -> list[Any]:
        """Return the decoded values. Raises DecodingError or OverflowError if the log does not fit."""
        found: list[Any] = [None] * self._count
        for position, topic, read in self._indexed:
            found[position] = topics[topic] if read is None else read(topics[topic][2:])
        in_data = _read(self._types, data) if self._words is None else _read_words(self._words, data)
        for position, value in zip(self._in_data, in_data, strict=True):
            found[position] = value
        return found


_layouts: WeakKeyDictionary[EventSignature, _Layout] = WeakKeyDictionary()


def _layout(signature: EventSignature) -> _Layout:
    known = _layouts.get(signature)
    if known is None:
        known = _layouts[signature] = _Layout(signature)
    return known


def _read_words(readers: Sequence[ReadWord], data: str) -> list[Any]:
    if len(data) < 2 + WORD_DIGITS * len(readers):
        raise InsufficientDataBytes(f"{len(data) // 2 - 1} bytes for {len(readers)} words")
    starts = range(2, len(data), WORD_DIGITS)
    return [read(data[start : start + WORD_DIGITS]) for read, start in zip(readers, starts, strict=False)]


def _read(types: Sequence[AbiType], text: str) -> Sequence[Any]:
    """Return the values of `types` in the data. Raises DecodingError or OverflowError if it does not fit."""
    data = bytes.fromhex(text[2:])
    # eth_abi checks a tuple's offsets by reading its fixed part twice, at every level.
    doublings = 1 + max(kind.tuple_depth for kind in types)
    stream = _BoundedStream(data, min((len(data) + 32) << doublings, MAX_BYTES_READ))
    found: Sequence[Any] = registry.get_tuple_decoder(*map(_wire_type, types))(stream)
    return found


class _BoundedStream(ContextFramesBytesIO):
    """A stream that aborts decoding after more reads than a valid encoding of this length needs."""

    def __init__(self, data: bytes, max_bytes: int) -> None:
        super().__init__(data)  # type: ignore[no-untyped-call]  # eth_abi leaves it untyped
        self._left = max_bytes

    def read(self, size: int | None = -1, /) -> bytes:
        found = super().read(size)
        self._left -= len(found)
        if self._left < 0:
            raise DecodingError("offsets expand the data beyond its size")
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
