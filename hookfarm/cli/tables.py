"""What people read: rows in columns, moments, and other people's text, which may hold anything."""

import re
from collections.abc import Iterator, Sequence

from hookfarm.cli.view_numbers import UNKNOWN
from hookfarm.timestamps import format_ms

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s\[\]{},:"]+')
_INDENT = "  "


def columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A line for each row. Nothing is cut, however wide: an id or a URL is there to be copied."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(map(str.ljust, row, widths)).rstrip()


def counted(number: int, noun: str, plural: str = "s") -> str:
    """`1 address`, `2 addresses`."""
    return f"{number:,} {noun}{'' if number == 1 else plural}"


def moment(at_ms: int | None) -> str:
    """UTC, ISO 8601 to the millisecond; a dash where there is none."""
    return UNKNOWN if at_ms is None else format_ms(at_ms)


def plain(text: str) -> str:
    """`text` in one line, without what a terminal would obey."""
    return "".join(map(_plain_character, text))


def _plain_character(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape", "backslashreplace").decode()


def indented(json_text: str) -> Iterator[str]:
    """JSON, a member a line. Its numbers and strings stay as they were written: decoding would change them."""
    tokens = _TOKEN.findall(json_text)
    depth, line = 0, ""
    for token, following in zip(tokens, [*tokens[1:], ""], strict=True):
        if token in ("]", "}") and not line.endswith(("[", "{")):
            yield plain(line)
            depth -= 1
            line = _INDENT * depth
        line += f"{token} " if token == ":" else token
        if token == "," or (token in ("[", "{") and following not in ("]", "}")):
            yield plain(line)
            depth += token != ","
            line = _INDENT * depth
    if line:
        yield plain(line)
