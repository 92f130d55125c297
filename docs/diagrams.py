"""Diagrams of the site: blocks of code in Mermaid's language, drawn in the browser.

bin/docs installs the library with npm, and pages with diagrams load it from the site. mkdocs-material alone would
load it from another host. Without npm the site shows the text of the diagrams.
"""

from pathlib import Path
from posixpath import dirname, relpath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

SCRIPT = "assets/mermaid.tiny.js"
_INSTALLED = "node_modules/@mermaid-js/tiny/dist/mermaid.tiny.js"
_DIAGRAM = 'class="mermaid"'


def on_config(config: "MkDocsConfig") -> None:
    """Make blocks of Mermaid diagrams if the library is installed (an event of mkdocs)."""
    from pymdownx.superfences import fence_code_format

    if _library(config).is_file():
        fence = {"name": "mermaid", "class": "mermaid", "format": fence_code_format}
        config.mdx_configs["pymdownx.superfences"] = {"custom_fences": [fence]}


def on_files(files: "Files", config: "MkDocsConfig") -> None:
    """Add the library to the site (an event of mkdocs)."""
    from mkdocs.structure.files import File

    if _library(config).is_file():
        files.append(File.generated(config, SCRIPT, abs_src_path=str(_library(config))))


def on_post_page(output: str, page: "Page", config: "MkDocsConfig") -> str:
    """Load the library in a page with diagrams (an event of mkdocs)."""
    if _DIAGRAM not in output:
        return output
    script = f'<script src="{relpath(SCRIPT, dirname(page.url) or ".")}"></script>'
    return output.replace("</head>", f"{script}</head>", 1)


def _library(config: "MkDocsConfig") -> Path:
    return Path(config.docs_dir) / _INSTALLED
