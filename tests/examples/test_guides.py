"""The guides that show the receivers contain exactly the files that the tests run."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest

from hookfarm.records import Endpoint
from tests.examples.languages import LANGUAGES, RECEIVERS
from tests.examples.walk import commands
from tests.support.farm_processes import CHECKOUT

HOW_TO = CHECKOUT / "docs/how-to"
SOURCES = {".py", ".mjs", ".go", ".java", ".rs", ".php", ".rb"}
NOT_SHOWN = "Json.java"
MAX_LINES = 125
_FILE = re.compile(r"^`(examples/\S+)`:\n\n```[a-z]+\n(.*?)^```$", re.DOTALL | re.MULTILINE)
README = (RECEIVERS / "README.md").read_text()


def guide(language: str) -> str:
    return (HOW_TO / f"receive-{language}.md").read_text()


def sources(language: str) -> dict[str, str]:
    """The files of a receiver that its guide shows: path in the checkout -> text."""
    files = [
        file for file in (RECEIVERS / language).rglob("*") if file.suffix in SOURCES and file.name != NOT_SHOWN
    ]
    return {str(file.relative_to(CHECKOUT)): file.read_text() for file in files}


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_guide_shows_every_file_of_the_receiver(language: str) -> None:
    assert dict(_FILE.findall(guide(language))) == sources(language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_receiver_is_short(language: str) -> None:
    assert all(len(text.splitlines()) <= MAX_LINES for text in sources(language).values())


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_guide_and_the_readme_run_the_receiver_alike(language: str) -> None:
    enter, *_, start = commands(guide(language))
    assert enter == f"cd examples/receiver/{language}"
    [row] = [line for line in README.splitlines() if f"(../../docs/how-to/receive-{language}.md)" in line]
    assert f"`{start}`" in row
    folder = RECEIVERS / language
    named = [word for word in shlex.split(start) if Path(word).suffix in SOURCES]
    assert all((folder / word).is_file() for word in named)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_numbers_of_the_guide_are_those_of_the_code(language: str) -> None:
    assert f"(default: {Endpoint(id='', url='').timeout_seconds:g} s)" in guide(language)
    tolerances = re.findall(
        r"TOLERANCE\w*(?:: \w+)? = (\S+?);?$", "\n".join(sources(language).values()), re.MULTILINE
    )
    assert set(tolerances) <= {"300", "Duration.ofMinutes(5)"}
    assert "more than 5 minutes away" in " ".join(guide(language).split())


def test_the_crates_of_the_guide_are_those_of_the_manifest() -> None:
    manifest = tomllib.loads((RECEIVERS / "rust/Cargo.toml").read_text())
    first = guide("rust").partition("## Steps")[0]
    assert set(re.findall(r"`(\w+)`", first)) == set(manifest["dependencies"])


def test_every_example_is_in_the_index() -> None:
    index = (CHECKOUT / "examples/README.md").read_text()
    folders = {path.parent.name for path in (CHECKOUT / "examples").glob("*/README.md")}
    assert set(re.findall(r"\]\(([\w-]+)/README\.md\)", index)) == folders
    assert folders == {path.name for path in (CHECKOUT / "examples").iterdir() if path.is_dir()}
