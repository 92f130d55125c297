"""The site's navigation, made from the folders of docs/: a new page needs no entry anywhere.

A part lists its known pages in the order in which they are read; other pages of its folder follow by name.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

HOME = "index.md"
_LIST = re.compile(r"<!-- pages: (\S+) -->")


@dataclass(frozen=True)
class Part:
    """A part of the navigation: its title, its folder, and the names of the first pages."""

    title: str
    folder: str
    first: tuple[str, ...] = ()
    single_pages: tuple[tuple[str, str], ...] = ()
    """Titles and paths of pages outside the folder, listed behind its own."""
    sections: tuple["Section", ...] = ()


@dataclass(frozen=True)
class Section:
    """A group of pages within a part: those of its own folder, or those whose names begin with `prefix`."""

    title: str
    folder: str
    prefix: str = ""


PARTS = (
    Part("Tutorials", "tutorials", ("first-webhook", "your-own-chain", "your-own-contract")),
    Part(
        "How-to guides",
        "how-to",
        (
            *("filter", "choose-a-node", "backfill", "finality-for-money", "ordered-processing", "rotate-secrets"),
            *("config-as-code", "run-in-production", "providers", "troubleshooting"),
        ),
        sections=(
            Section("Receive webhooks", "how-to", "receive-"),
            Section("Come from another product", "how-to", "come-from-"),
        ),
    ),
    Part(
        "Reference",
        "reference",
        (
            *("settings", "cli", "api", "payloads", "where", "chains", "devchain", "metrics"),
            *("logs", "exit-codes", "redis-keys"),
        ),
    ),
    Part(
        "Explanation",
        "explanation",
        ("architecture", "delivery-semantics", "reorgs-and-confirmations", "reliability", "performance"),
        single_pages=(("Folders and glossary", "architecture.md"),),
        sections=(Section("Decisions", "decisions"),),
    ),
)


def on_config(config: "MkDocsConfig") -> None:
    """Set the navigation (an event of mkdocs)."""
    config.nav = navigation(Path(config.docs_dir))


def on_page_markdown(markdown: str, page: "Page", config: "MkDocsConfig", files: "Files") -> str:
    """Replace `<!-- pages: FOLDER -->` on the home page by links to that part (an event of mkdocs)."""
    if page.file.src_uri != HOME:
        return markdown
    docs = Path(config.docs_dir)
    by_folder = {part.folder: part for part in PARTS}
    return _LIST.sub(lambda found: _links(docs, by_folder[found[1]]), markdown)


def navigation(docs: Path) -> list[Any]:
    """Return the navigation as mkdocs takes it, with titles; parts without a page are left out."""
    parts: list[Any] = [{"Home": HOME}]
    for part in PARTS:
        entries: list[Any] = [{title: path} for title, path in pages(docs, part)]
        for section in part.sections:
            found = [{title: path} for title, path in section_pages(docs, section)]
            entries += [{section.title: found}] if found else []
        parts += [{part.title: entries}] if entries else []
    return parts


def pages(docs: Path, part: Part) -> list[tuple[str, str]]:
    """Return title and path of the pages of a part that belong to none of its sections, in their order."""
    in_sections = {path for section in part.sections for _, path in section_pages(docs, section)}
    found = sorted(path.stem for path in (docs / part.folder).glob("*.md"))
    order = [*(name for name in part.first if name in found), *(name for name in found if name not in part.first)]
    paths = [f"{part.folder}/{name}.md" for name in order]
    single = [(title, path) for title, path in part.single_pages if (docs / path).is_file()]
    return [*((_title(docs / path), path) for path in paths if path not in in_sections), *single]


def section_pages(docs: Path, section: Section) -> list[tuple[str, str]]:
    """Return title and path of the pages of a section, by path."""
    found = sorted((docs / section.folder).glob(f"{section.prefix}*.md"))
    return [(_title(path), f"{section.folder}/{path.name}") for path in found]


def _links(docs: Path, part: Part) -> str:
    in_sections = [page for section in part.sections for page in section_pages(docs, section)]
    return "\n".join(f"- [{title}]({path})" for title, path in [*pages(docs, part), *in_sections])


def _title(page: Path) -> str:
    """Return the first heading of a page, which mkdocs would not find behind a comment."""
    found = re.search(r"^# (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return found[1].strip() if found else page.stem
