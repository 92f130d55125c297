"""Links from the documentation to files of the repository outside docs/, such as README.md or deploy/alerts.yml.

The site gets a copy of each file that is linked, below `repository/`: Markdown as a page, other files unchanged.
So these links work in the site too, and mkdocs checks them and their anchors as strictly as all others.
"""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

DOCS = "docs"
COPIES = "repository"
_FENCE = re.compile(r"(^ {0,3}(```+|~~~+).*?^ {0,3}\2[`~]*[ \t]*$)", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"""(!?\[(?P<text>(?:[^\[\]]|\[[^\]]*\])*)\]\()(?P<target>[^)\s]+)(?P<end>(?:\s+"[^"]*")?\))""")
_ATTRIBUTE = re.compile(r"""(?P<start>\b(?:src|srcset|href)=")(?P<target>[^"\s]+)(?P<end>")""")


def on_files(files: "Files", config: "MkDocsConfig") -> "Files":
    """Add a copy of each linked file, and of those that linked Markdown links in turn (an event of mkdocs)."""
    from mkdocs.structure.files import File, InclusionLevel

    root = Path(config.docs_dir).parent
    known = {f"{DOCS}/{file.src_uri}" for file in files.documentation_pages()}
    waiting, linked = sorted(known), set[str]()
    while waiting:
        source = waiting.pop()
        for path in linked_files(root, source, (root / source).read_text(encoding="utf-8")):
            if path not in linked and not path.startswith(f"{DOCS}/"):
                linked.add(path)
                waiting += [path] if path.endswith(".md") else []
    for path in sorted(linked):
        copy = File.generated(config, f"{COPIES}/{path}", abs_src_path=str(root / path))
        copy.inclusion = InclusionLevel.NOT_IN_NAV
        files.append(copy)
    return files


def on_page_markdown(markdown: str, page: "Page", config: "MkDocsConfig", files: "Files") -> str:
    """Rewrite links that leave docs/, or that come from a copy (an event of mkdocs)."""
    root = Path(config.docs_dir).parent
    return rewritten(root, repository_path(page.file.src_uri), markdown)


def repository_path(src_uri: str) -> str:
    """Return the path in the repository of a source of the site."""
    return src_uri.removeprefix(f"{COPIES}/") if src_uri.startswith(f"{COPIES}/") else f"{DOCS}/{src_uri}"


def linked_files(root: Path, source: str, markdown: str) -> Iterator[str]:
    """Yield the repository paths of the files that a page links to; a folder stands for its README.md."""
    for prose in _FENCE.sub("", markdown).splitlines():
        for pattern in (_LINK, _ATTRIBUTE):
            for found in pattern.finditer(prose):
                target = resolve(root, source, found["target"])
                if target is not None and (root / target).is_file():
                    yield target


def rewritten(root: Path, source: str, markdown: str) -> str:
    """Return the page with links that fit the site. A link to a folder without a README becomes its text."""
    here = posixpath.dirname(_site_path(source))

    def replace(found: re.Match[str]) -> str:
        target = resolve(root, source, found["target"])
        if target is None or not (root / target).exists():
            return found[0]
        if (root / target).is_dir():
            return str(found.groupdict().get("text", found[0]))
        _, mark, anchor = found["target"].partition("#")
        return f"{found[1]}{posixpath.relpath(_site_path(target), here or '.')}{mark}{anchor}{found['end']}"

    parts = _FENCE.split(markdown)
    # Each fence is three parts: the prose before it, the fence, and its mark.
    prose = [_ATTRIBUTE.sub(replace, _LINK.sub(replace, part)) for part in parts[::3]]
    fences = [*parts[1::3], ""]
    return "".join(part + fence for part, fence in zip(prose, fences, strict=True))


def resolve(root: Path, source: str, target: str) -> str | None:
    """Return the repository path that a link of a page means; None for another host or the page itself."""
    path = unquote(target.partition("#")[0])
    if not path or re.match(r"[a-z][a-z0-9+.-]*:|//", path, re.IGNORECASE):
        return None
    found = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
    if found.startswith("../"):
        return None
    return f"{found}/README.md" if (root / found / "README.md").is_file() else found


def _site_path(path: str) -> str:
    return path.removeprefix(f"{DOCS}/") if path.startswith(f"{DOCS}/") else f"{COPIES}/{path}"
