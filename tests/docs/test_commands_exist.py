"""Commands and options in the pages exist, also those that no test can run."""

import re
import shlex
from collections.abc import Iterator

import click
import pytest

from hookfarm.cli.main import COMMANDS, load
from tests.support.doc_pages import CHECKOUT, Block, all_blocks, pages, prose_of, text_of

_INLINE = re.compile(r"`((?:bin/)?hookfarm [a-z][^`]*)`")
_OPTION = re.compile(r"`(--[a-z][a-z-]*)[^`]*`")
_PROGRAM = re.compile(r"(?:^|.*[/ ])hookfarm$")
_IN_FRONT = ("sudo", "exec")
_OTHERS = ("--chaos", "--chaos-seed", "--quick", "--save")
"""Options of bin/test and of the benchmarks."""


def typed(text: str) -> Iterator[list[str]]:
    """The words of each call of hookfarm in a block."""
    for line in text.replace("\\\n", " ").splitlines():
        words = _split(line)
        while words and words[0] in _IN_FRONT:
            words = words[1:]
        if words and _PROGRAM.fullmatch(words[0]):
            yield words[1:]


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line.partition(" #")[0])
    except ValueError:  # A quoted argument that goes on in the next line.
        return line.split()


def calls() -> list[tuple[str, list[str]]]:
    found = [
        (str(block), words) for block in all_blocks() if block.language == "sh" for words in typed(block.text)
    ]
    inline = [
        (page, words) for page in pages() for code in _INLINE.findall(text_of(page)) for words in typed(code)
    ]
    return found + inline


@pytest.mark.parametrize(("where", "words"), calls(), ids=lambda value: value if isinstance(value, str) else "")
def test_each_call_is_a_command_with_such_options(where: str, words: list[str]) -> None:
    assert words[0] in COMMANDS, where
    command = load(words[0])
    rest = words[1:]
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        assert rest[0] in command.commands, (where, words)
        command = command.commands[rest.pop(0)]
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    assert {word.partition("=")[0] for word in rest if re.match("--[a-z]", word)} <= known, (where, words)


def test_each_option_in_prose_is_one_of_some_command() -> None:
    known = {name for command in COMMANDS for name in _options(load(command))} | set(_OTHERS)
    mentioned = {option for page in pages() for option in _OPTION.findall(text_of(page))}
    assert mentioned <= known


def _options(command: click.Command) -> Iterator[str]:
    if isinstance(command, click.Group):
        for member in command.commands.values():
            yield from _options(member)
    for parameter in command.params:
        yield from (*parameter.opts, *parameter.secondary_opts)


def test_a_block_that_is_not_run_has_its_reason() -> None:
    def reason(block: Block) -> str:
        return block.remark.removeprefix("not run:").strip()

    left_out = [block for block in all_blocks() if block.language == "sh" and not block.is_run]
    assert all(reason(block) for block in left_out)


def test_every_block_names_its_language() -> None:
    known = {"sh", "text", "toml", "json", "yaml", "python", "solidity", "mermaid"}
    assert {block.language for block in all_blocks()} <= known


def test_programs_and_files_in_the_pages_exist() -> None:
    named = r"`(?:\.venv/bin/python )?((?:benchmarks|deploy|hookfarm|tests|bin|docs)/[\w./-]+)`"
    missing = [
        (page, path)
        for page in pages()
        for path in re.findall(named, text_of(page))
        if not (CHECKOUT / path).exists() and "NAME" not in path
    ]
    assert not missing


def test_lines_are_at_most_100_columns_wide() -> None:
    wide = [
        f"{page}:{number}"
        for page in pages()
        for number, line in enumerate(text_of(page).splitlines(), 1)
        if len(line) > 100 and not line.startswith(("|", "<!--"))
    ]
    assert not wide


def test_pages_do_not_let_data_speak_and_name_who_acts() -> None:
    words = {"told", "tell", "tells", "telling", "whoever", "somebody", "nobody", "anybody"}
    assert not [
        (page, word) for page in pages() for word in re.findall(r"\w+", prose_of(page).lower()) if word in words
    ]
