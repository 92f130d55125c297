"""The blocks of the Markdown pages: fenced code, each with the remark (an HTML comment) in front of it.

A `sh` block is run by a test, and a `text` block behind it is compared with its output. A remark excepts a block:

    <!-- not run: REASON -->           of sh: only its commands and options are checked
    <!-- example: REASON -->           of text or json: not compared
    <!-- output of: COMMAND -->        of text: compared with the output of a command that runs in the background
    <!-- ctrl-C: COMMAND -->           before sh: stops a command that runs in the background
    <!-- where: SIGNATURE -->          of text: each line is a condition on this event
    <!-- file: NAME -->                the reader saves the block under this name
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
FOLDERS = ("tutorials", "how-to", "explanation", "decisions")
_TOKEN = re.compile(
    r"^<!-- (?P<remark>.*?) -->$|^ *```(?P<language>[a-z]*)\n(?P<text>.*?)^ *```$", re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True)
class Block:
    """A fenced block. `remark` is the comment directly in front of it, or empty."""

    page: str
    line: int
    language: str
    text: str
    remark: str

    @property
    def is_run(self) -> bool:
        return self.language == "sh" and not self.remark.startswith("not run: ")

    def argument(self, name: str) -> str | None:
        """The text behind `name:` in the remark."""
        return self.remark.partition(f"{name}: ")[2] if self.remark.startswith(f"{name}: ") else None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[str]:
    """README and the pages of docs/ that are written by hand, relative to the checkout."""
    found = [path for folder in FOLDERS for path in (CHECKOUT / "docs" / folder).glob("*.md")]
    written = [path for path in found if not path.name.startswith("receive-")]
    return ["README.md", "deploy/README.md", *sorted(str(path.relative_to(CHECKOUT)) for path in written)]


def text_of(page: str) -> str:
    return (CHECKOUT / page).read_text()


def prose_of(page: str) -> str:
    """The page without its fenced blocks, on one line."""
    return " ".join(_TOKEN.sub(" ", text_of(page)).split())


def blocks(page: str) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    text = text_of(page)
    remark, remark_end = "", -1
    for token in _TOKEN.finditer(text):
        if token["remark"] is not None:
            remark, remark_end = token["remark"], token.end()
            continue
        is_direct = not text[remark_end : token.start()].strip()
        line = text.count("\n", 0, token.start()) + 1
        yield Block(page, line, token["language"], token["text"], remark if is_direct else "")


def all_blocks() -> Iterator[Block]:
    for page in pages():
        yield from blocks(page)
