from typing import Any

import eth_abi.abi
import pytest
from eth_abi.abi import encode
from eth_abi.exceptions import DecodingError
from hypothesis import given
from hypothesis import strategies as st

from hookfarm.abi.signature import parse
from hookfarm.matching.decoder import DecodedLogs, WebhookEventField, decode
from hookfarm.records import Event

FROM, TO = "0x" + "ab" * 20, "0x" + "00" * 19 + "01"


def word(value: int) -> str:
    return f"0x{value % 2**256:064x}"


def under(signature: str, *topics: str, data: bytes = b"") -> WebhookEventField | None:
    event = parse(signature)
    own = () if event.topic0 is None else (event.topic0,)
    return decode(event, (*own, *topics), f"0x{data.hex()}")


def arguments(signature: str, *topics: str, data: bytes = b"") -> dict[str, Any]:
    decoded = under(signature, *topics, data=data)
    assert decoded is not None
    return decoded["args"]


def in_data(types: str, *values: Any) -> list[Any]:
    """The arguments of an event with these parameters, all in the data."""
    data = encode(parse(f"E({types})").canonical[2:-1].split(",") if "(" not in types else [types], values)
    return list(arguments(f"E({types})", data=data).values())


def test_an_erc20_transfer_shows_its_arguments_by_name() -> None:
    signature = "Transfer(address indexed from, address indexed to, uint256 value)"
    decoded = under(signature, word(int(FROM, 16)), word(1), data=encode(["uint256"], [2**53 + 1]))
    arguments = {"from": FROM, "to": TO, "value": "9007199254740993"}
    assert decoded == {"name": "Transfer", "args": arguments}


def test_arguments_stand_in_the_order_of_the_declaration() -> None:
    shown = arguments("E(uint a, uint indexed b, uint c)", word(2), data=encode(["uint256"] * 2, [1, 3]))
    assert list(shown.items()) == [("a", 1), ("b", 2), ("c", 3)]


@pytest.mark.parametrize(
    ("types", "value", "shown"),
    [
        ("uint8", 255, 255),
        ("uint256", 2**53, 2**53),
        ("uint256", 2**53 + 1, "9007199254740993"),
        ("int256", -(2**53), -(2**53)),
        ("int256", -(2**53) - 1, "-9007199254740993"),
        ("int8", -128, -128),
        ("bool", True, True),
        ("bool", False, False),
        ("address", FROM, FROM),
        ("bytes", b"\x01\xff", "0x01ff"),
        ("bytes", b"", "0x"),
        ("bytes4", b"\xde\xad\xbe\xef", "0xdeadbeef"),
        ("string", "grüße", "grüße"),
        ("uint8[]", [1, 2, 3], [1, 2, 3]),
        ("uint256[2]", [1, 2**64], [1, "18446744073709551616"]),
        ("string[]", ["a", ""], ["a", ""]),
        ("address[2][]", [[FROM, TO]], [[FROM, TO]]),
    ],
)
def test_each_type_has_its_json_form(types: str, value: Any, shown: Any) -> None:
    assert in_data(types, value) == [shown]


def test_a_function_is_its_24_bytes() -> None:
    assert list(arguments("E(function f)", data=b"\xaa" * 24 + b"\0" * 8).values()) == ["0x" + "aa" * 24]


def test_a_string_that_is_not_utf_8_shows_its_bytes() -> None:
    assert list(arguments("E(string)", data=encode(["bytes"], [b"\xff\xfe"])).values()) == ["0xfffe"]


def test_a_tuple_with_all_names_is_an_object_and_else_a_list() -> None:
    data = encode(["(uint256,(string,bool)[])"], [(7, [("x", True)])])
    assert arguments("E((uint a, (string s, bool b)[] c) t)", data=data) == {
        "t": {"a": 7, "c": [{"s": "x", "b": True}]}
    }
    assert arguments("E((uint a, (string, bool b)[] c) t)", data=data) == {"t": {"a": 7, "c": [["x", True]]}}


@pytest.mark.parametrize("kind", ["string", "bytes", "uint256[]", "uint8[2]", "(uint256 a, bool b)"])
def test_an_indexed_value_that_does_not_fit_a_topic_shows_the_hash_that_stands_for_it(kind: str) -> None:
    assert arguments(f"E({kind} indexed x)", word(77)) == {"x": word(77)}


def test_an_anonymous_event_has_its_arguments_from_the_first_topic_on() -> None:
    assert arguments("E(uint indexed a, bool b) anonymous", word(5), data=bytes(32)) == {"a": 5, "b": False}


def test_parameters_without_a_name_are_called_by_their_position() -> None:
    assert list(arguments("E(uint, uint b, uint)", data=bytes(96))) == ["arg0", "b", "arg2"]


def test_a_name_that_is_taken_gets_the_first_free_number() -> None:
    assert list(arguments("E(uint a, uint a, uint a0, uint a)", data=bytes(128))) == ["a", "a0", "a00", "a1"]
    assert list(arguments("E(uint arg1, uint)", data=bytes(64))) == ["arg1", "arg10"]


@pytest.mark.parametrize(
    ("signature", "topics", "data"),
    [
        ("E(uint256 a)", [], b""),
        ("E(uint256 a)", [], bytes(31)),
        ("E(uint256 a)", [word(1)], bytes(32)),
        ("E(uint256 indexed a)", [], b""),
        ("E(bool a)", [], b"\0" * 31 + b"\2"),
        ("E(bool indexed a)", [word(2)], b""),
        ("E(address indexed a)", [word(2**160)], b""),
        ("E(uint8 a)", [], b"\1" + bytes(31)),
        ("E(bytes4 a)", [], b"\1" * 32),
        ("E(int8 a)", [], bytes.fromhex(word(128)[2:])),
        ("E(int8 a)", [], bytes.fromhex(word(-129)[2:])),
        ("E(bytes a)", [], bytes.fromhex(word(2**255)[2:])),
        ("E(bytes a)", [], bytes.fromhex(word(32)[2:] + word(2**255)[2:])),
        ("E(bytes a)", [], bytes.fromhex(word(32)[2:] + word(1)[2:] + "01" * 32)),
        ("E(uint256[] a)", [], bytes.fromhex(word(32)[2:] + word(2**255)[2:])),
        ("E(string[] a)", [], bytes.fromhex(word(32)[2:] + word(2**200)[2:])),
    ],
)
def test_a_log_that_does_not_hold_what_the_signature_says_is_not_decoded(
    signature: str, topics: list[str], data: bytes
) -> None:
    assert under(signature, *topics, data=data) is None


def test_offsets_that_multiply_the_data_end_the_decoding() -> None:
    level = 20
    offset_of_next = [32 * level] * level
    words = [32, *([level, *offset_of_next] * 3), level, *([0] * level)]
    data = b"".join(value.to_bytes(32) for value in words)
    assert under("E(uint256[][][][] a)", data=data) is None


def test_an_event_is_decoded_once_per_signature() -> None:
    signature = parse("E(uint a)")
    event: Event = {"topics": [signature.topic0 or ""], "data": word(1)}  # type: ignore[typeddict-item]
    decoded_logs = DecodedLogs(event)
    assert decoded_logs.as_json(signature) is decoded_logs.as_json(signature)


ELEMENTARY: dict[str, st.SearchStrategy[Any]] = {
    "uint256": st.integers(0, 2**256 - 1),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "bool": st.booleans(),
    "bytes3": st.binary(min_size=3, max_size=3),
    "bytes": st.binary(max_size=70),
    "string": st.text(max_size=40),
    "address": st.binary(min_size=20, max_size=20).map(lambda raw: f"0x{raw.hex()}"),
}
TYPES = st.recursive(
    st.sampled_from(sorted(ELEMENTARY)),
    lambda inner: (
        inner.map("{}[]".format)
        | inner.map("{}[2]".format)
        | st.lists(inner, min_size=1, max_size=3).map(lambda types: f"({','.join(types)})")
    ),
    max_leaves=8,
)


def values_of(kind: str) -> st.SearchStrategy[Any]:
    if kind.endswith("[2]"):
        return st.lists(values_of(kind[:-3]), min_size=2, max_size=2)
    if kind.endswith("[]"):
        return st.lists(values_of(kind[:-2]), max_size=3)
    if kind.startswith("("):
        components = parse(f"E({kind})").parameters[0].type.components
        return st.tuples(*(values_of(c.type.canonical) for c in components))
    return ELEMENTARY[kind]


def as_json(value: Any) -> Any:
    """The form of a value, from the value alone."""
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    if isinstance(value, bytes):
        return f"0x{value.hex()}"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 2**53:
        return str(value)
    return value


@given(st.data(), TYPES)
def test_what_was_encoded_is_decoded(data: st.DataObject, kind: str) -> None:
    value = data.draw(values_of(kind))
    assert arguments(f"E({kind} a)", data=encode([kind], [value])) == {"a": as_json(value)}


WORDS = st.sampled_from([0, 1, 2, 31, 32, 64, 96, 128, 2**53, 2**63, 2**64, 2**255, 2**256 - 1])
GARBAGE = st.binary(max_size=300) | st.lists(WORDS, max_size=40).map(
    lambda words: b"".join(value.to_bytes(32) for value in words)
)


@given(TYPES, TYPES, GARBAGE, st.lists(st.binary(min_size=32, max_size=32), max_size=4))
def test_no_log_makes_the_decoder_raise(first: str, second: str, data: bytes, topics: list[bytes]) -> None:
    texts = [f"0x{topic.hex()}" for topic in topics]
    decode(parse(f"E({first} a, {second} indexed b)"), texts, f"0x{data.hex()}")
    decode(parse(f"E({first} indexed a, {second}) anonymous"), texts, f"0x{data.hex()}")


WORD_TYPES = st.sampled_from(
    ["uint8", "uint248", "uint256", "int8", "int248", "int256", "address", "bool", "bytes1", "bytes31", "bytes32"]
)
EDGES = [0, 1, 2, 127, 128, 255, 256, 2**159, 2**160, 2**247, 2**248, 2**255, 2**256 - 129, 2**256 - 1]
ONE_WORD = (
    st.sampled_from(EDGES).map(lambda value: value.to_bytes(32))
    | st.sampled_from(EDGES).map(lambda value: value.to_bytes(32)[::-1])
    | st.binary(min_size=32, max_size=32)
)
TYPED_WORDS = st.lists(st.tuples(WORD_TYPES, ONE_WORD), min_size=1, max_size=4)


def as_eth_abi_reads(kinds: list[str], data: bytes) -> list[Any] | None:
    try:
        return [as_json(value) for value in eth_abi.abi.decode(kinds, data)]
    except DecodingError:
        return None


@given(TYPED_WORDS, st.binary(max_size=40), st.sampled_from([0, 1, 33]))
def test_words_of_the_data_are_read_as_eth_abi_reads_them(
    words: list[tuple[str, bytes]], more: bytes, missing: int
) -> None:
    kinds = [kind for kind, _ in words]
    data = b"".join(word for _, word in words) + more
    data = data[: len(data) - missing]
    found = under(f"E({','.join(kinds)})", data=data)
    assert (None if found is None else list(found["args"].values())) == as_eth_abi_reads(kinds, data)


@given(TYPED_WORDS)
def test_words_of_the_topics_are_read_as_eth_abi_reads_them(words: list[tuple[str, bytes]]) -> None:
    kinds = [kind for kind, _ in words]
    found = under(f"E({' indexed, '.join(kinds)} indexed) anonymous", *(f"0x{word.hex()}" for _, word in words))
    expected = as_eth_abi_reads(kinds, b"".join(word for _, word in words))
    assert (None if found is None else list(found["args"].values())) == expected
