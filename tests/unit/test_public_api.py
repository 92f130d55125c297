"""docs/reference/public-api.md: the names that other programs may import are those that the modules declare."""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.farm_processes import CHECKOUT

PAGE = (CHECKOUT / "docs" / "reference" / "public-api.md").read_text()
TABLE = PAGE.partition("| module | names |\n|---|---|\n")[2].partition("\n\n")[0]
PUBLIC = {
    module: set(re.findall(r"`(\w+)`", names)) for module, names in re.findall(r"\| `([\w.]+)` \|(.*)\|", TABLE)
}
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("module", PUBLIC)
def test_a_public_module_declares_the_names_of_the_page(module: str) -> None:
    imported = importlib.import_module(module)
    assert set(imported.__all__) == PUBLIC[module]
    assert all(hasattr(imported, name) for name in PUBLIC[module])


@pytest.mark.parametrize("module", PUBLIC)
def test_a_public_name_has_a_docstring(module: str) -> None:
    imported = importlib.import_module(module)
    assert imported.__doc__
    classes = [getattr(imported, name) for name in PUBLIC[module] if name[0].isupper()]
    assert all(each.__doc__ for each in classes)


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_a_snippet_runs_and_imports_public_names_only(snippet: str, tmp_path: Path) -> None:
    imports = [node for node in ast.walk(ast.parse(snippet)) if isinstance(node, ast.ImportFrom)]
    for node in imports:
        if node.module and node.module.startswith("hookfarm"):
            assert {alias.name for alias in node.names} <= PUBLIC[node.module]
    done = subprocess.run(
        [sys.executable, "-c", snippet], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_the_page_has_a_table_and_snippets() -> None:
    assert len(PUBLIC) == 4
    assert len(SNIPPETS) == 2
