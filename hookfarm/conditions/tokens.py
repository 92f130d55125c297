"""The tokens of a condition, and errors that point at them. Columns count characters from 1."""

import re
from dataclasses import dataclass

from hookfarm.errors import InvalidInput

MAX_CHARACTERS = 65_536
"""Room for a list of 1,400 addresses; more of them belong into `addresses` or `topics`."""

NAME, NUMBER, TEXT, MARK, END, OTHER = "name", "number", "text", "mark", "end", "other"
_KINDS = (NAME, NUMBER, TEXT, MARK, END, OTHER)
_TOKEN = re.compile(
    r"""[ \t\r\n]*(?:
    ([A-Za-z_$][A-Za-z0-9_$]*)
    | ([0-9][A-Za-z0-9_$]*)
    | ("(?:[^"\\\r\n]|\\.)*" | '(?:[^'\\\r\n]|\\.)*')
    | (==|!=|<=|>=|[<>()\[\],.-])
    | (\Z)
    | (.)
    )""",
    re.DOTALL | re.VERBOSE,
)
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_ADVICE = {
    "=": "write == for equality",
    "&": "write and",
    "|": "write or",
    "!": "write not, or != between two values",
    '"': "this text has no closing quote on its line",
    "'": "this text has no closing quote on its line",
}


@dataclass(frozen=True, slots=True)
class Token:
    """`kind`: one of the constants of this module. `text`: as it was written."""

    kind: str
    text: str
    column: int

    def __str__(self) -> str:
        return "the end" if self.kind == END else repr(self.text if len(self.text) <= 40 else f"{self.text[:39]}…")


def problem(found: object, column: int, allowed: str) -> InvalidInput:
    """Return the error of `found` at `column`, where only `allowed` is valid."""
    return InvalidInput("where", f"{found} at column {column}: {allowed}")


def unexpected(token: Token, allowed: str) -> InvalidInput:
    """Return the error of a token where only `allowed` is valid."""
    return problem(token, token.column, allowed)


def split(text: str) -> list[Token]:
    """Return the tokens of `text`, END last. Raises InvalidInput for invalid text."""
    if len(text) > MAX_CHARACTERS:
        raise InvalidInput("where", f"{len(text)} characters; at most {MAX_CHARACTERS} are allowed")
    if bad := _UNWRITABLE.search(text):
        raise problem(repr(bad[0]), bad.start() + 1, r"expected text; control characters are written as \u0000")
    found: list[Token] = []
    for match in _TOKEN.finditer(text):
        group = match.lastindex or 0
        token = Token(_KINDS[group - 1], match[group], match.start(group) + 1)
        if token.kind == OTHER:
            raise unexpected(token, _ADVICE.get(token.text, "no condition contains this character"))
        found.append(token)
        if token.kind == END:
            break
    return found
