"""Parser of human-readable event signatures: `Transfer(address indexed from, address indexed to, …)`.

    event      = ["event"] NAME "(" [parameter {"," parameter}] ")" ["anonymous"] [";"]
    parameter  = type ["indexed"] [NAME]
    type       = (ELEMENTARY | ["tuple"] "(" member {"," member} ")") {"[" [NUMBER] "]"}
    member     = type [NAME]

Only the names of the Solidity ABI specification are valid. A contract's type such as `IERC20`, an enum or a struct
is `address`, `uint8` or a tuple in the ABI. Positions in errors count characters from 1.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from weakref import WeakValueDictionary

from hookfarm.abi.abi_types import TUPLE, AbiType, EventSignature, Parameter
from hookfarm.errors import InvalidInput

MAX_CHARACTERS = 4096
MAX_TUPLE_DEPTH = 8
MAX_ARRAY_DIMENSIONS = 8
MAX_ARRAY_SIZE = 100_000
MAX_INDEXED = 3
"""A log has four topics; topic0 identifies the event unless it is anonymous."""

_TOKEN = re.compile(r"[ \t\r\n]*(?:([A-Za-z_$][A-Za-z0-9_$]*)|([0-9]+)|([()\[\],;])|($)|(.))", re.DOTALL)
_SIZED = re.compile(r"(uint|int|bytes)([0-9]+)")
_FIXED = re.compile(r"u?fixed([0-9]+x[0-9]+)?")
_PLAIN = {"address", "bool", "string", "bytes", "function"}
_ALIASES = {"uint": "uint256", "int": "int256"}
_RESERVED = {"indexed", "anonymous", "event", "tuple", "memory", "calldata", "storage", "payable"}


MAX_REMEMBERED = 1024
"""Max cached signatures."""
_in_use: "WeakValueDictionary[str, EventSignature]" = WeakValueDictionary()


@lru_cache(MAX_REMEMBERED)
def parse(text: str) -> EventSignature:
    """Parse an event signature. Raises InvalidInput with the problem and its position.

    Returns the same object for the same text while it is referenced. So subscriptions with equal signatures share
    decoded logs.
    """
    known = _in_use.get(text)
    if known is None:
        if len(text) > MAX_CHARACTERS:
            raise InvalidInput("event", f"{len(text)} characters; at most {MAX_CHARACTERS} are allowed")
        known = _in_use[text] = _SignatureParser(_tokens(text)).event()
    return known


@dataclass(frozen=True)
class _SignatureToken:
    """A token of a signature; `kind` is word, number, mark, or end."""

    kind: str
    text: str
    position: int

    def __str__(self) -> str:
        return "the end" if self.kind == "end" else repr(self.text[:40])


def _tokens(text: str) -> list[_SignatureToken]:
    kinds = ("word", "number", "mark", "end", "other")
    found: list[_SignatureToken] = []
    for match in _TOKEN.finditer(text):
        group = match.lastindex or 0
        token = _SignatureToken(kinds[group - 1], match[group], match.start(group) + 1)
        if token.kind == "other":
            raise _problem(f"unexpected character {match[group]!r}", token)
        found.append(token)
        if token.kind == "end":
            break
    return found


def _problem(what: str, token: _SignatureToken, advice: str = "") -> InvalidInput:
    return InvalidInput("event", f"{what} at position {token.position}" + (advice and f"; {advice}"))


class _SignatureParser:
    """Parser of one signature by recursive descent; its methods are the rules of the grammar."""

    def __init__(self, tokens: list[_SignatureToken]) -> None:
        self._tokens = tokens
        self._next = 0

    def event(self) -> EventSignature:
        if self._at("event"):
            self._take()
        name = self._name("the event's name")
        self._expect("(")
        parameters = self._list(is_member=False, depth=0)
        anonymous = self._skip("anonymous")
        self._skip(";")
        if self._peek.kind != "end":
            raise _problem(f"expected the end, found {self._peek}", self._peek)
        self._check_indexed(parameters, anonymous)
        return EventSignature(name, parameters, anonymous)

    def _check_indexed(self, parameters: tuple[Parameter, ...], anonymous: bool) -> None:
        marked = [token for token in self._tokens if token.text == "indexed"]
        allowed = MAX_INDEXED + anonymous
        if len(marked) > allowed:
            kind = "an anonymous event" if anonymous else "an event"
            limit = f"{kind} has at most {allowed}"
            raise _problem("one indexed parameter too many", marked[allowed], limit)

    def _list(self, is_member: bool, depth: int) -> tuple[Parameter, ...]:
        """Parse a list of parameters up to the closing parenthesis."""
        if not is_member and self._skip(")"):
            return ()
        found = [self._parameter(is_member, depth)]
        while self._skip(","):
            found.append(self._parameter(is_member, depth))
        self._expect(")", "',' or ')'")
        return tuple(found)

    def _parameter(self, is_member: bool, depth: int) -> Parameter:
        kind = self._type(depth)
        indexed = self._at("indexed")
        if indexed and is_member:
            raise _problem("a member of a tuple cannot be indexed, only a parameter", self._peek)
        if indexed:
            self._take()
        name = self._name("a name") if self._peek.kind == "word" else ""
        return Parameter(name, kind, indexed)

    def _type(self, depth: int) -> AbiType:
        start = self._take()
        components: tuple[Parameter, ...] = ()
        if start.text == TUPLE:
            self._expect("(", "'(' after tuple")
        if start.text in (TUPLE, "("):
            if depth == MAX_TUPLE_DEPTH:
                raise _problem(f"tuples nested more than {MAX_TUPLE_DEPTH} deep", start)
            base, components = TUPLE, self._list(is_member=True, depth=depth + 1)
        else:
            base = _elementary(start)
        return AbiType(base, components, self._sizes())

    def _sizes(self) -> tuple[int | None, ...]:
        sizes: list[int | None] = []
        while self._at("["):
            bracket = self._take()
            if len(sizes) == MAX_ARRAY_DIMENSIONS:
                raise _problem(f"more than {MAX_ARRAY_DIMENSIONS} array dimensions", bracket)
            sizes.append(_array_size(self._take()) if self._peek.kind == "number" else None)
            self._expect("]")
        return tuple(sizes)

    @property
    def _peek(self) -> _SignatureToken:
        return self._tokens[self._next]

    def _at(self, text: str) -> bool:
        return self._peek.text == text

    def _take(self) -> _SignatureToken:
        token = self._peek
        if token.kind != "end":
            self._next += 1
        return token

    def _skip(self, text: str) -> bool:
        return self._at(text) and bool(self._take())

    def _expect(self, text: str, what: str = "") -> None:
        if not self._skip(text):
            raise _problem(f"expected {what or repr(text)}, found {self._peek}", self._peek)

    def _name(self, what: str) -> str:
        token = self._take()
        if token.kind != "word":
            raise _problem(f"expected {what}, found {token}", token)
        if token.text in _RESERVED:
            raise _problem(f"{token.text!r} cannot be a name here", token)
        return token.text


def _elementary(token: _SignatureToken) -> str:
    """Return the canonical name of an elementary type."""
    name = _ALIASES.get(token.text, token.text)
    if name in _PLAIN:
        return name
    if token.kind != "word":
        raise _problem(f"expected a type, found {token}", token)
    if _FIXED.fullmatch(name):
        raise _problem(f"fixed-point type {token}", token, "fixed and ufixed are not supported")
    sized = _SIZED.fullmatch(name)
    if not sized:
        advice = "write the ABI type (a contract is address, an enum uint8, a struct a tuple)"
        raise _problem(f"unknown type {token}", token, advice)
    _check_size(sized[1], sized[2], token)
    return name


def _check_size(kind: str, digits: str, token: _SignatureToken) -> None:
    size = 0 if digits.startswith("0") or len(digits) > 3 else int(digits)
    if kind == "bytes" and not 1 <= size <= 32:
        raise _problem(f"unknown type {token}", token, "bytes1 to bytes32 are allowed")
    if kind != "bytes" and not (8 <= size <= 256 and size % 8 == 0):
        raise _problem(f"unknown type {token}", token, f"{kind}8 to {kind}256 in steps of 8 are allowed")


def _array_size(token: _SignatureToken) -> int:
    size = 0 if token.text.startswith("0") or len(token.text) > 6 else int(token.text)
    if not 1 <= size <= MAX_ARRAY_SIZE:
        raise _problem(f"array size {token}", token, f"allowed are 1 to {MAX_ARRAY_SIZE}")
    return size
