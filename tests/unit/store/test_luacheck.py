"""luacheck (Debian: lua-check) over the sources that the server runs."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from hookfarm.store.scripts import assemble, in_order, read_part, read_source
from tests.support.lua_scripts import NAMES, PARTS, listed

GLOBALS = ("KEYS", "ARGV", "redis", "cjson", "struct")
OPTIONS = ("--std", "lua51", "--no-config", "--no-color", "--codes", "--read-globals", *GLOBALS)


@pytest.fixture(scope="module")
def luacheck() -> str:
    found = shutil.which("luacheck")
    if found is None:
        reason = "no luacheck: run bin/test as root on Debian, or install lua-check"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def warnings(luacheck: str, files: Sequence[Path], *options: str) -> str:
    """Its output, nothing if all is well."""
    command = [luacheck, "--quiet", *map(str, files), *OPTIONS, *options]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    return run.stdout + run.stderr if run.returncode else ""


def test_no_script_uses_an_undefined_name(luacheck: str, tmp_path: Path) -> None:
    files = [tmp_path / f"{name}.lua" for name in NAMES]
    for file in files:
        file.write_text(assemble(file.stem))
    assert warnings(luacheck, files, "--only", "1") == ""


def test_all_scripts_together_have_no_warning(luacheck: str, tmp_path: Path) -> None:
    program = tmp_path / "program.lua"
    program.write_text(all_scripts_as_one())
    assert warnings(luacheck, [program]) == ""


def test_an_undefined_and_an_unused_name_are_found(luacheck: str, tmp_path: Path) -> None:
    file = tmp_path / "wrong.lua"
    file.write_text("local unused = 1\nreturn undefined(ARGV[1])\n")
    found = warnings(luacheck, [file])
    assert "(W113) accessing undefined variable 'undefined'" in found
    assert "(W211) unused variable 'unused'" in found


def all_scripts_as_one() -> str:
    """All parts, once, and behind them each script as a function: what is unused here, no script uses."""
    parts = in_order(PARTS)
    texts = [*map(read_part, parts), *map(read_source, NAMES)]
    constants = {name for text in texts for name in listed("constants", text)}
    functions = [f"function()\n{read_source(name)}end,\n" for name in NAMES]
    declarations = [f"local {name} = '{name}'\n" for name in sorted(constants)]
    return "".join((*declarations, *map(read_part, parts), "return {\n", *functions, "}\n"))
