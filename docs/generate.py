"""Write the reference pages of docs/reference/ from the code.

python docs/generate.py          writes the pages that have changed
python docs/generate.py --check  lists the pages that differ from the code, and exits with 1 if there are any

A page is a template of docs/generators/templates/ whose `{{name}}` are replaced by parts made from the code. The
same code makes the same pages on every machine.
"""

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from generators import (
    chains,
    cli,
    devchain,
    exit_codes,
    http_api,
    log_lines,
    metrics,
    payloads,
    redis_keys,
    settings,
    where,
)

REFERENCE = Path(__file__).parent / "reference"
TEMPLATES = Path(__file__).parent / "generators" / "templates"
_MARK = "<!-- Made by docs/generate.py"
NOTE = f"{_MARK} from the code and docs/generators/templates/{{}}.md: edit these. -->"
PAGES: Mapping[str, Callable[[], Mapping[str, str]]] = {
    "settings": settings.parts,
    "cli": cli.parts,
    "api": http_api.parts,
    "payloads": payloads.parts,
    "where": where.parts,
    "chains": chains.parts,
    "devchain": devchain.parts,
    "metrics": metrics.parts,
    "logs": log_lines.parts,
    "exit-codes": exit_codes.parts,
    "redis-keys": redis_keys.parts,
}


def files() -> dict[str, str]:
    """Return the content of every generated file of docs/reference/ by name."""
    pages = {f"{name}.md": _page(name, parts()) for name, parts in PAGES.items()}
    return {**pages, **{f"schemas/{name}": text for name, text in payloads.schema_files().items()}}


def _page(name: str, parts: Mapping[str, str]) -> str:
    template = (TEMPLATES / f"{name}.md").read_text(encoding="utf-8")
    unused = set(parts) - set(re.findall(r"\{\{(\w+)\}\}", template))
    if unused:
        raise ValueError(f"{name}.md has no place for {', '.join(sorted(unused))}")
    filled = re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], template)
    return f"{NOTE.format(name)}\n\n{filled.strip()}\n"


def differences(folder: Path, wanted: Mapping[str, str]) -> list[str]:
    """Return the names of the files of the folder that are missing, different or superfluous.

    Pages that were written by hand are not compared.
    """
    found = {
        str(path.relative_to(folder)): path.read_text("utf-8") for path in folder.rglob("*") if path.is_file()
    }
    present = {name: text for name, text in found.items() if name in wanted or _is_generated(name, text)}
    return sorted(name for name in {*present, *wanted} if present.get(name) != wanted.get(name))


def _is_generated(name: str, text: str) -> bool:
    return name.startswith("schemas/") or text.startswith(_MARK)


def write(folder: Path, wanted: Mapping[str, str]) -> None:
    """Write these files into the folder, and remove generated ones that are none of them."""
    for name in differences(folder, wanted):
        path = folder / name
        if name in wanted:
            path.parent.mkdir(exist_ok=True)
            path.write_text(wanted[name], encoding="utf-8")
        else:
            path.unlink()


def main(arguments: Sequence[str]) -> int:
    """Return the exit code."""
    wanted = files()
    if "--check" not in arguments:
        write(REFERENCE, wanted)
        return 0
    stale = differences(REFERENCE, wanted)
    for name in stale:
        print(f"docs/reference/{name} differs from the code; run: python docs/generate.py")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
