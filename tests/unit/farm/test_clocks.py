"""Lateness, grace and dates are read from a clock that cannot be set."""

import ast
from pathlib import Path

import pytest

import hookfarm

PACKAGE = Path(hookfarm.__file__).parent
WALL_CLOCKS = {"time", "time_ns", "now", "utcnow", "today", "localtime", "gmtime", "ctime"}
MODULES = [*PACKAGE.glob("farm/*.py"), *PACKAGE.glob("keeper/*.py"), PACKAGE / "event_loop.py"]


def wall_clock_calls(source: str) -> list[str]:
    """Calls of a function that reads the time of day, and imports of one by its name."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in WALL_CLOCKS:
            found.append(ast.unparse(node.func))
        if isinstance(node, ast.ImportFrom) and node.module in ("time", "datetime"):
            found.append(ast.unparse(node))
    return found


@pytest.mark.parametrize("module", MODULES, ids=lambda module: f"{module.parent.name}/{module.name}")
def test_no_judgement_of_the_farm_reads_the_wall_clock(module: Path) -> None:
    assert wall_clock_calls(module.read_text()) == []


@pytest.mark.parametrize("line", ["time.time()", "datetime.now(UTC)", "from time import time"])
def test_a_wall_clock_would_be_found(line: str) -> None:
    assert wall_clock_calls(line) != []
