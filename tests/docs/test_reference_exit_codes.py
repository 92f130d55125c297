"""docs/reference/exit-codes.md: what the shell gets."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.farm_processes import CHECKOUT

PAGE = (CHECKOUT / "docs" / "reference" / "exit-codes.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "status", "beginning"),
    [
        (("--version",), 0, ""),
        (("wait", "event_ingestor", "--timeout", "0"), 1, ""),
        (("status",), 1, "hookfarm: "),
        (("start", "--workers", "0"), 2, "hookfarm: workers: "),
        (("start", "--no-such-option"), 2, "Error: "),
        (("wait",), 2, "Error: "),
    ],
)
def test_a_command_ends_with_the_code_of_the_page(
    tmp_path: Path, arguments: tuple[str, ...], status: int, beginning: str
) -> None:
    environment = {"HOOKFARM_STATE_DIR": str(tmp_path), "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-m", "hookfarm", *arguments]
    ended = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True)
    assert ended.returncode == status, ended.stderr
    assert re.search(rf"^{beginning}", ended.stderr, re.MULTILINE)
    assert f"\n| {status} | " in PAGE


def test_the_page_names_the_beginnings_of_error_lines() -> None:
    assert "`hookfarm: `" in PAGE
    assert "`Error: `" in PAGE
