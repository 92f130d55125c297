"""The documentation as a site, and the links of every Markdown file of the repository."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import diagrams
import navigation
import pytest
import repository_links

from tests.support.farm_processes import CHECKOUT

FENCE = re.compile(r"^ {0,3}(```+|~~~+).*?^ {0,3}\1[`~]*[ \t]*$", re.DOTALL | re.MULTILINE)
INLINE_CODE = re.compile(r"(`+)[^`].*?\1", re.DOTALL)
TARGET = re.compile(
    r"""\]\(([^)\s]+)(?:\s+"[^"]*")?\)|\b(?:src|srcset|href)="([^"\s]+)"|^\[[^\]]+\]: (\S+)$""", re.MULTILINE
)
ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.IGNORECASE)


def pages() -> list[str]:
    """The Markdown files of the repository, new ones too."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    listed = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout.split("\n")
    # Templates become pages of another folder.
    return sorted({name for name in listed if name and not name.startswith("docs/generators/")})


def prose(path: Path) -> str:
    return INLINE_CODE.sub("", FENCE.sub("", path.read_text()))


def targets(path: Path) -> Iterator[str]:
    for found in TARGET.finditer(prose(path)):
        target = next(filter(None, found.groups()))
        if not ELSEWHERE.match(target):
            yield target


@cache
def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as code hosts make them: the second of a kind ends with -1."""
    seen: dict[str, int] = {}
    found = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", FENCE.sub("", path.read_text()), re.MULTILINE):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        name = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        found.add(name if name not in seen else f"{name}-{seen[name]}")
        seen[name] = seen.get(name, 0) + 1
    return found | set(re.findall(r"""\b(?:id|name)="([^"]+)\"""", path.read_text()))


@pytest.mark.parametrize("page", pages())
def test_every_link_of_a_page_leads_somewhere(page: str) -> None:
    broken = []
    for target in targets(CHECKOUT / page):
        name, _, anchor = target.partition("#")
        path = Path(os.path.normpath((CHECKOUT / page).parent / name)) if name else CHECKOUT / page
        if not path.exists() or (anchor and path.suffix == ".md" and anchor not in anchors(path)):
            broken.append(target)
    assert broken == []


def test_every_page_of_docs_is_in_the_navigation_once() -> None:
    def paths(entry: object) -> Iterator[str]:
        if isinstance(entry, str):
            yield entry
        elif isinstance(entry, dict):
            yield from (path for each in entry.values() for path in paths(each))
        elif isinstance(entry, list):
            yield from (path for each in entry for path in paths(each))

    docs = CHECKOUT / "docs"
    found = list(paths(navigation.navigation(docs)))
    written = [name.removeprefix("docs/") for name in pages() if name.startswith("docs/")]
    assert sorted(found) == sorted(written)


def test_the_navigation_has_known_pages_in_their_order_and_new_ones_behind_them(tmp_path: Path) -> None:
    for name in (
        "how-to/filter",
        "how-to/another",
        "how-to/backfill",
        "how-to/receive-go",
        "decisions/0001-a",
        "index",
    ):
        path = tmp_path / f"{name}.md"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"# About {name}\n")
    assert navigation.navigation(tmp_path) == [
        {"Home": "index.md"},
        {
            "How-to guides": [
                {"About how-to/filter": "how-to/filter.md"},
                {"About how-to/backfill": "how-to/backfill.md"},
                {"About how-to/another": "how-to/another.md"},
                {"Receive webhooks": [{"About how-to/receive-go": "how-to/receive-go.md"}]},
            ]
        },
        {"Explanation": [{"Decisions": [{"About decisions/0001-a": "decisions/0001-a.md"}]}]},
    ]


ROOT_PAGE = """# T
[one](../README.md#try) ![two](../tests/a.png) [`folder`](../src) [x](other.md) [y](https://a.example/b)
```
[kept](../README.md)
```
<img src="../tests/a.png"> [guide](../deploy/) [gone](../nowhere.md)
"""


def test_links_out_of_docs_lead_to_copies(tmp_path: Path) -> None:
    for name in ("README.md", "tests/a.png", "src/code.py", "docs/other.md", "deploy/README.md"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert set(repository_links.linked_files(tmp_path, "docs/index.md", ROOT_PAGE)) == {
        "README.md",
        "tests/a.png",
        "docs/other.md",
        "deploy/README.md",
    }
    rewritten = repository_links.rewritten(tmp_path, "docs/index.md", ROOT_PAGE)
    assert rewritten == (
        "# T\n[one](repository/README.md#try) ![two](repository/tests/a.png) `folder` [x](other.md) "
        "[y](https://a.example/b)\n```\n[kept](../README.md)\n```\n"
        '<img src="repository/tests/a.png"> [guide](repository/deploy/README.md) [gone](../nowhere.md)\n'
    )
    back = repository_links.rewritten(tmp_path, "deploy/README.md", "[a](../docs/other.md) [b](../README.md)")
    assert back == "[a](../../other.md) [b](../README.md)"


@pytest.fixture(scope="module")
def mkdocs() -> list[str]:
    """The command; .ci/run installs it."""
    if find_spec("mkdocs") is None or find_spec("material") is None:
        pytest.skip("the site needs the extra docs: bin/docs installs it")
    return [sys.executable, "-m", "mkdocs", "build", "--strict"]


def build(command: list[str], root: Path, site: Path) -> tuple[int, str]:
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(
        [*command, "--site-dir", str(site)], cwd=root, env=environment, capture_output=True, text=True
    )
    return built.returncode, built.stdout + built.stderr


def assert_built(built: tuple[int, str]) -> None:
    status, output = built
    assert status == 0, output
    assert "WARNING" not in output


def test_the_site_has_no_broken_link_and_asks_no_other_host(mkdocs: list[str], tmp_path: Path) -> None:
    assert_built(build(mkdocs, CHECKOUT, tmp_path))
    pages_built = list(tmp_path.rglob("*.html"))
    assert len(pages_built) > 10
    for page in pages_built:
        loaded = re.findall(
            r"""<(?:script|img|iframe)[^>]*\bsrc="([^"]+)|<link[^>]*\bhref="([^"]+)""", page.read_text()
        )
        assert [one or other for one, other in loaded if ELSEWHERE.match(one or other)] == [], page
        has_diagrams = 'class="mermaid"' in page.read_text()
        assert has_diagrams == (diagrams.SCRIPT in page.read_text()), "the theme would load it from another host"


def test_a_broken_link_fails_the_build(mkdocs: list[str], tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    for name in ("mkdocs.yml", "docs/navigation.py", "docs/repository_links.py", "docs/diagrams.py"):
        shutil.copy(CHECKOUT / name, tmp_path / name)
    (tmp_path / "README.md").write_text("# README\n")
    (tmp_path / "docs" / "architecture.md").write_text("# Architecture\n[a](../README.md#readme)\n")
    broken = ("no.md", "architecture.md#no", "../no.py", "../README.md#no", "#no")
    (tmp_path / "docs" / "index.md").write_text("# Home\n" + " ".join(f"[a]({link})" for link in broken))
    status, output = build(mkdocs, tmp_path, tmp_path / "site")
    assert (status, len(re.findall("^WARNING", output, re.MULTILINE))) == (1, len(broken)), output
