"""The table of a chaos run, in markdown, and its conditions."""

import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from hookfarm.store.embedded_server import find_binary
from tests.support.farm_processes import CHECKOUT


@dataclass(frozen=True)
class Row:
    """One test. `kills` are signals (or connections, or servers) that hit; `control` is what plain BRPOP lost."""

    test: str
    kills: int
    produced: int
    lost: int
    duplicates: int
    slowest_seconds: float
    conditions: str
    """Load, workers, seed."""
    control: str = ""

    def cells(self) -> tuple[str, ...]:
        counts = (f"{number:,}" for number in (self.kills, self.produced, self.lost, self.duplicates))
        return (self.test, *counts, f"{self.slowest_seconds:.2f} s", self.control or "-", self.conditions)


HEAD = ("test", "kills", "produced", "lost", "duplicates", "slowest recovery", "plain BRPOP lost", "conditions")
_LEFT = (":--", *["--:"] * 5, ":--", ":--")


@dataclass
class Table:
    """Rows as the tests end; a storm's row is added before it is judged, so that a failure shows too."""

    rows: list[Row] = field(default_factory=list)

    def add(self, row: Row) -> None:
        self.rows.append(row)

    def markdown(self) -> str:
        sums = [
            sum(getattr(row, name) for row in self.rows) for name in ("kills", "produced", "lost", "duplicates")
        ]
        slowest = max((row.slowest_seconds for row in self.rows), default=0.0)
        total = ("all", *(f"{number:,}" for number in sums), f"{slowest:.2f} s", "", "")
        return "\n".join(map(_line, [HEAD, _LEFT, *(row.cells() for row in self.rows), total]))


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def conditions() -> str:
    """One paragraph: without it the numbers mean nothing."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    server = _first_line(str(find_binary()), "--version")
    commit = _first_line("git", "-C", str(CHECKOUT), "rev-parse", "--short=12", "HEAD")
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, commit {commit}; {os.cpu_count()} x {cpu}, Linux {platform.release()}, "
        f"Python {platform.python_version()}, {server}."
    )


def _first_line(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return "unknown"
    return done.stdout.partition("\n")[0].strip() or "unknown"
