"""Metrics and labels used in PromQL: enough grammar for this repository's expressions."""

import re
from dataclasses import dataclass

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_SELECTOR = re.compile(rf"({_NAME})(?![\w:])\s*(?:\{{([^}}]*)\}})?(?!\s*\()")
_GROUPING = re.compile(r"\b(?:by|without)\s*\(([^)]*)\)")
_MATCHER = re.compile(rf'({_NAME})\s*(=~|!~|!=|=)\s*"([^"]*)"')
_DURATION = re.compile(r"\[[^\]]*\]")
_WORDS = {"and", "or", "unless", "on", "ignoring", "bool", "offset"}


@dataclass(frozen=True)
class Selector:
    """A metric's name, and its matchers as (label, operator, value)."""

    name: str
    matchers: tuple[tuple[str, str, str], ...]


def grouped_by(expression: str) -> set[str]:
    """Return the labels of all `by (…)`."""
    return {label.strip() for found in _GROUPING.findall(expression) for label in found.split(",")}


def selectors(expression: str) -> list[Selector]:
    bare = _DURATION.sub("", _GROUPING.sub("", expression))
    return [
        Selector(found[1], tuple(_MATCHER.findall(found[2] or "")))
        for found in _SELECTOR.finditer(bare)
        if found[1] not in _WORDS and not _is_part_of_a_number(bare, found.start())
    ]


def _is_part_of_a_number(text: str, start: int) -> bool:
    return start > 0 and (text[start - 1].isalnum() or text[start - 1] in "._")
