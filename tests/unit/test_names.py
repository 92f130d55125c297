"""One word for one thing: the glossary of docs/architecture.md, held in names, comments and messages alike."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import hookfarm

PACKAGE = Path(hookfarm.__file__).parent
SOURCES = sorted(p for p in PACKAGE.rglob("*") if p.suffix in {".py", ".lua", ".js", ".html", ".css"})
MODULES = [p for p in SOURCES if p.suffix == ".py"]

REPLACED = {
    "told": "history, sent, report",
    "tell": "report, send, publish",
    "tells": "reports, sends, publishes",
    "telling": "reporting, sending",
    "crew": "workers",
    "lately": "endpoint stats",
    "moment": "time, timestamp",
    "moments": "times, timestamps",
    "standing": "state, position",
    "standings": "states",
    "picture": "snapshot",
    "pictures": "snapshots",
    "mourn": "count_crash",
    "mourned": "counted",
    "bury": "dead_letter",
    "buried": "dead-lettered",
    "burial": "dead letter",
    "herald": "keeper",
    "doorbell": "head_signal",
    "whoever": "the noun: worker, caller, reader",
    "somebody": "the noun: another process, a client",
    "nobody": "the noun: no worker, no reader",
    "anybody": "the noun: any client",
    "elses": "foreign",
}
"""Word -> what the glossary has for it."""

MAX_ROOT_MODULES = 10
MAX_MODULES = 235


def words_of(text: str) -> Iterator[str]:
    """Each word in lower case; names are split at underscores and capitals."""
    for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", text):
        yield word.lower()


def replaced_words(text: str) -> set[str]:
    """The replaced words that a source uses."""
    return {word for word in words_of(text) if word in REPLACED}


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_source_uses_the_words_of_the_glossary(source: Path) -> None:
    found = {word: REPLACED[word] for word in replaced_words(source.read_text() + " " + source.stem)}
    assert not found


@pytest.mark.parametrize("text", ["class Crew:", "self._told_at", "# whoever asks", "tellFinal()", "ToldOf"])
def test_a_replaced_word_is_found_in_any_form(text: str) -> None:
    assert replaced_words(text)


def test_no_class_name_is_used_twice() -> None:
    names = Counter(
        node.name
        for module in MODULES
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.ClassDef)
    )
    assert not {name: count for name, count in names.items() if count > 1}


def test_bounds_are_called_max_and_min() -> None:
    pattern = re.compile(r"\b_?(?:MOST|LONGEST|LEAST|SHORTEST|LARGEST|SMALLEST|BIGGEST)_\w+|\b\w+_AT_ONCE\b")
    found = {f"{p.relative_to(PACKAGE)}: {name}" for p in SOURCES for name in pattern.findall(p.read_text())}
    assert not found


def test_the_root_holds_few_modules() -> None:
    assert len([p for p in MODULES if p.parent == PACKAGE]) <= MAX_ROOT_MODULES
    assert len(MODULES) <= MAX_MODULES


def _is_explained(lines: list[str], number: int) -> bool:
    """Whether this import, or the ones right above it, have a comment."""
    at = number - 1
    while "#" not in lines[at] and re.match(r"\s+(import|from) ", lines[at]):
        at -= 1
    return "#" in lines[at]


def test_an_import_inside_a_function_says_why() -> None:
    found = []
    for module in MODULES:
        source = module.read_text()
        lines = source.splitlines()
        for function in ast.walk(ast.parse(source)):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for node in ast.walk(function):
                if isinstance(node, ast.Import | ast.ImportFrom) and not _is_explained(lines, node.lineno):
                    found.append(f"{module.relative_to(PACKAGE)}:{node.lineno}")
    assert not found
