"""Write the reference pages of docs/reference/ from the code.

python docs/generate.py          writes the pages that have changed
python docs/generate.py --check  lists the pages that differ from the code, and exits with 1 if there are any

A page is a template of docs/generators/templates/ whose `{{name}}` are replaced by parts made from the code. The
same code makes the same pages on every machine.
"""

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from generators import chains, cli, exit_codes, http_api, log_lines, metrics, payloads, redis_keys, settings, where

REFERENCE = Path(__file__).parent / "reference"
TEMPLATES = Path(__file__).parent / "generators" / "templates"
NOTE = "<!-- Made by docs/generate.py from the code and docs/generators/templates/{}.md: edit these. -->"
PAGES: Mapping[str, Callable[[], Mapping[str, str]]] = {
    "settings": settings.parts,
    "cli": cli.parts,
    "http-api": http_api.parts,
    "payloads": payloads.parts,
    "where": where.parts,
    "chains": chains.parts,
    "metrics": metrics.parts,
    "log-lines": log_lines.parts,
    "exit-codes": exit_codes.parts,
    "redis-keys": redis_keys.parts,
}


def files() -> dict[Path, str]:
    """Return the content of every file of docs/reference/."""
    pages = {REFERENCE / f"{name}.md": _page(name, parts()) for name, parts in PAGES.items()}
    return {**pages, **{REFERENCE / "schemas" / name: text for name, text in payloads.schema_files().items()}}


def _page(name: str, parts: Mapping[str, str]) -> str:
    template = (TEMPLATES / f"{name}.md").read_text(encoding="utf-8")
    unused = set(parts) - set(re.findall(r"\{\{(\w+)\}\}", template))
    if unused:
        raise ValueError(f"{name}.md has no place for {', '.join(sorted(unused))}")
    filled = re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], template)
    return f"{NOTE.format(name)}\n\n{filled.strip()}\n"


def main() -> None:
    wanted = files()
    present = {path for path in REFERENCE.rglob("*") if path.is_file()}
    stale = [p for p, text in wanted.items() if p not in present or p.read_text(encoding="utf-8") != text]
    superfluous = sorted(present - set(wanted))
    if "--check" in sys.argv[1:]:
        for path in [*stale, *superfluous]:
            print(
                f"{path.relative_to(REFERENCE.parent.parent)} differs from the code; run: python docs/generate.py"
            )
        sys.exit(1 if stale or superfluous else 0)
    for path in stale:
        path.parent.mkdir(exist_ok=True)
        path.write_text(wanted[path], encoding="utf-8")
    for path in superfluous:
        path.unlink()


if __name__ == "__main__":
    main()
