"""Random conditions on random logs, beside their meaning as this file has it, which knows no grammar."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from eth_abi.abi import encode
from eth_hash.auto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from hookfarm.abi.signature import parse
from hookfarm.records import Event
from tests.support.matching import endpoints, log, subscribers

TYPES = {
    "who": "address", "peer": "address", "n": "int16", "u": "uint256", "yes": "bool", "four": "bytes4",
    "raw": "bytes", "text": "string", "list": "int16[]", "pair": "(int16 n, address[2] two)", "tag": "string",
}  # fmt: skip
ADDRESSES = ["0x" + f"{n:040x}" for n in (0, 1, 2**160 - 1)]
INTEGERS = [-32768, -1, 0, 1, 2, 32767]
DOMAIN: dict[str, list[Any]] = {
    "address": ADDRESSES,
    "int": INTEGERS,
    "uint": [0, 1, 2, 2**255, 2**256 - 1],
    "bool": [True, False],
    "bytes4": [bytes(4), b"\x01\x02\x03\x04", b"\xff" * 4],
    "bytes": [b"", b"\x00", b"\x01\x02"],
    "string": ["", "a", "é\n\"'\\", "abc"],
}
VALUES = st.fixed_dictionaries({
    "who": st.sampled_from(ADDRESSES), "peer": st.sampled_from(ADDRESSES), "n": st.sampled_from(INTEGERS),
    "u": st.sampled_from(DOMAIN["uint"]), "yes": st.booleans(), "four": st.sampled_from(DOMAIN["bytes4"]),
    "raw": st.sampled_from(DOMAIN["bytes"]), "text": st.sampled_from(DOMAIN["string"]),
    "list": st.lists(st.sampled_from(INTEGERS), max_size=3), "tag": st.sampled_from(DOMAIN["string"]),
    "pair": st.tuples(st.sampled_from(INTEGERS), st.lists(st.sampled_from(ADDRESSES), min_size=2, max_size=2)),
})  # fmt: skip


@dataclass(frozen=True)
class Term:
    """A text of the language, and what it means for the arguments of a log: a value, or None = not there."""

    text: str
    meaning: Callable[[dict[str, Any]], Any]


def at(position: int) -> Callable[[Any], Any]:
    return lambda found: found[position] if position < len(found) else None


OPERANDS: dict[str, list[Term]] = {
    "address": [
        Term("who", lambda v: v["who"]), Term("peer", lambda v: v["peer"]),
        Term("pair.two[0]", lambda v: v["pair"][1][0]), Term("pair[1][1]", lambda v: v["pair"][1][1]),
    ],
    "int": [
        Term("n", lambda v: v["n"]), Term("pair.n", lambda v: v["pair"][0]),
        Term("list[0]", lambda v: at(0)(v["list"])),
        Term("list[ 2 ]", lambda v: at(2)(v["list"])),
    ],
    "uint": [
        Term("u", lambda v: v["u"]), Term("length(list)", lambda v: len(v["list"])),
        Term("length( text )", lambda v: len(v["text"].encode())), Term("length(raw)", lambda v: len(v["raw"])),
    ],
    "bool": [Term("yes", lambda v: v["yes"])],
    "bytes4": [Term("four", lambda v: v["four"])],
    "bytes": [Term("raw", lambda v: v["raw"])],
    "string": [Term("text", lambda v: v["text"])],
}  # fmt: skip
MEANING: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda a, b: a == b, "!=": lambda a, b: a != b, "<": lambda a, b: a < b, "<=": lambda a, b: not a > b,
    ">": lambda a, b: a > b, ">=": lambda a, b: not a < b,
}  # fmt: skip


def written(draw: st.DrawFn, value: bool | int | bytes | str) -> str:
    """One of the ways to write a value."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        sign = "-" if value < 0 else ""
        return sign + draw(st.sampled_from([str(abs(value)), f"{abs(value):_}", hex(abs(value))]))
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if value.startswith("0x"):
        return draw(st.sampled_from([value, "0X" + value[2:].upper()]))
    quote = draw(st.sampled_from("\"'"))
    escaped = value.replace("\\", "\\\\").replace(quote, f"\\{quote}").replace("\n", "\\n")
    return f"{quote}{draw(st.sampled_from([escaped, escaped.replace('é', chr(92) + 'u00e9')]))}{quote}"


@st.composite
def comparisons(draw: st.DrawFn) -> Term:
    family = draw(st.sampled_from([*OPERANDS, "tag", "bare"]))
    if family == "bare":
        return Term("yes", lambda v: v["yes"])
    signs = list(MEANING) if family in ("int", "uint") else ["==", "!="]
    domain = DOMAIN["string" if family == "tag" else family]
    left = Term("tag", lambda v: v["tag"]) if family == "tag" else draw(st.sampled_from(OPERANDS[family]))
    form = draw(st.sampled_from(["literal", "mirrored", "in", *([] if family == "tag" else ["pair"])]))
    if form == "in":
        choices = draw(st.lists(st.sampled_from(domain), min_size=1, max_size=3))
        word, opening, closing = draw(st.sampled_from([("in", "(", ")"), ("not in", "[", "]"), ("in", "[", "]")]))
        listed = ", ".join(written(draw, choice) for choice in choices)
        return Term(f"{left.text} {word} {opening}{listed}{closing}", lambda v: (
            (found := left.meaning(v)) is not None and (found in choices) is (word == "in")
        ))  # fmt: skip
    sign = draw(st.sampled_from(signs))
    if form == "pair":
        right = draw(st.sampled_from(OPERANDS[family]))
        text = f"{left.text} {sign} {right.text}"
    else:
        value = draw(st.sampled_from(domain))
        literal = Term(written(draw, value), lambda v: value)
        left, right = (literal, left) if form == "mirrored" else (left, literal)
        text = f"{left.text}{sign}{right.text}"
    return Term(text, lambda v: (
        (a := left.meaning(v)) is not None and (b := right.meaning(v)) is not None and MEANING[sign](a, b)
    ))  # fmt: skip


def joined(word: str, parts: list[Term]) -> Term:
    every = {"and": all, "or": any}[word]
    text = f" {word} ".join(f"({part.text})" for part in parts)
    return Term(text, lambda v: every(part.meaning(v) for part in parts))


def negated(part: Term) -> Term:
    return Term(f"not ({part.text})", lambda v: not part.meaning(v))


def unbracketed(alternatives: list[list[Term]]) -> Term:
    """`and` binds more tightly than `or`."""
    text = " or ".join(" and ".join(part.text for part in parts) for parts in alternatives)
    return Term(text, lambda v: any(all(part.meaning(v) for part in parts) for parts in alternatives))


PARTS = st.lists(comparisons(), min_size=1, max_size=3)
CONDITIONS = st.recursive(
    comparisons() | PARTS.map(lambda parts: unbracketed([parts])),
    lambda inner: (
        st.builds(joined, st.sampled_from(["and", "or"]), st.lists(inner, min_size=1, max_size=3))
        | inner.map(negated)
        | st.lists(PARTS, min_size=1, max_size=3).map(unbracketed)
    ),
    max_leaves=6,
)
INDEXED = st.sampled_from(
    [("who", "n", "tag"), ("who", "four", "tag"), ("yes", "u", "tag"), ("tag",), ("peer", "tag")]
)


def emitted(indexed: tuple[str, ...], anonymous: bool, found: dict[str, Any]) -> tuple[str, Event]:
    """A signature with these arguments indexed, and a log of it."""
    parameters = ", ".join(f"{kind} {'indexed ' * (name in indexed)}{name}" for name, kind in TYPES.items())
    event = f"E({parameters}){' anonymous' * anonymous}"
    declared = parse(event)
    kinds = {p.name: p.type.canonical for p in declared.parameters}
    words = {name: encode([kinds[name]], [found[name]]) for name in indexed if name != "tag"}
    words["tag"] = keccak(found["tag"].encode())
    topics = [f"0x{words[name].hex()}" for name in TYPES if name in indexed]
    in_data = [name for name in TYPES if name not in indexed]
    data = encode([kinds[name] for name in in_data], [found[name] for name in in_data])
    own = [] if declared.topic0 is None else [declared.topic0]
    return event, log(topics=(*own, *topics), data=f"0x{data.hex()}")


@settings(max_examples=400)
@given(st.lists(CONDITIONS, min_size=1, max_size=6), VALUES, INDEXED, st.booleans())
def test_an_event_is_matched_by_the_conditions_that_hold_for_its_arguments(
    conditions: list[Term], found: dict[str, Any], indexed: tuple[str, ...], anonymous: bool
) -> None:
    event, seen = emitted(indexed, anonymous, found)
    index = subscribers({f"ep_{n}": each.text for n, each in enumerate(conditions)}, event)
    expected = [f"ep_{n}" for n, each in enumerate(conditions) if each.meaning(found)]
    assert endpoints(index, seen) == expected
    for n in range(len(conditions)):
        index.remove(f"ep_{n}")
    assert index.chains == frozenset()
