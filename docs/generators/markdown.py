"""Markdown from values."""

import html
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

_ACTIVE = re.compile(r"\*|(?<!\w)_|_(?!\w)|\[(?=[^\]]*\]\()")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; a cell may hold Markdown, and its pipes and line breaks are escaped.

    Code hosts and the site disagree on an escaped pipe in inline code, so such code is written as HTML.
    """
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    text = re.sub(r"`([^`]*\|[^`]*)`", lambda found: f"<code>{html.escape(found[1], quote=False)}</code>", text)
    return " ".join(text.split()).replace("|", "&#124;")


def code(text: object) -> str:
    """Return text as inline code."""
    return f"`{text}`"


def codes(values: Iterable[object]) -> str:
    """Return values as inline code, separated by commas."""
    return ", ".join(map(code, values))


def fence(text: str, language: str = "") -> str:
    """Return a block of code."""
    return f"```{language}\n{text.strip(chr(10))}\n```"


def json_fence(value: Any) -> str:
    return fence(json.dumps(value, indent=2, ensure_ascii=False), "json")


def plain(text: str) -> str:
    """Return a text of the code as Markdown in which nothing but inline code is special."""
    pieces = re.split(r"(`[^`]*`)", " ".join(text.split()))
    return "".join(piece if piece.startswith("`") else _escaped(piece) for piece in pieces)


def _escaped(text: str) -> str:
    return _ACTIVE.sub(r"\\\g<0>", text).replace("<", "&lt;")


def sentence(text: str) -> str:
    """Return a text of the code as one sentence of Markdown."""
    found = plain(text).rstrip(".")
    return f"{found[:1].upper()}{found[1:]}." if found else ""


def paragraphs(*texts: str) -> str:
    """Return the texts with an empty line between them, without empty ones."""
    return "\n\n".join(text for text in texts if text)


def duration(seconds: float) -> str:
    """Return a duration as settings are written: `90s`, `2m`, `5d`."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"
