"""Another checkout of hookfarm, measured by its own benchmarks, which fit its internal interfaces."""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support import contest
from support.contest import Course
from support.limits import Figures
from support.report import quantile


@dataclass(frozen=True)
class Version:
    """A checkout; it runs in its own `.venv`, else in the environment of this process."""

    checkout: Path

    def run(self, *arguments: str) -> Any:
        """Run a program of its benchmarks; return its JSON. Raises RuntimeError with its last lines of output."""
        folder = self.checkout.resolve() / "benchmarks"
        done = subprocess.run(
            [str(self._python()), *arguments], cwd=folder, env=self._environment(), capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"{self.checkout}: {' '.join(arguments)}\n{done.stderr[-2000:]}")
        return json.loads(done.stdout)

    def contest(self, course: Course) -> Figures:
        figures: Figures = self.run("-m", "support.contest", contest.as_argument(course))
        return figures

    def _python(self) -> Path:
        own = self.checkout.resolve() / ".venv/bin/python"
        return own if own.exists() else Path(sys.executable)

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(self.checkout.resolve())}


def ratios(values: Sequence[float], of: Sequence[float]) -> dict[str, float]:
    """Return median, least and greatest ratio of the pairs; pairs with 0 are left out as unmeasured."""
    found = [value / other for value, other in zip(values, of, strict=True) if other]
    if not found:
        return {}
    shown = {"median": statistics.median(found), "min": quantile(found, 0.0), "max": quantile(found, 1.0)}
    return {name: round(value, 3) for name, value in shown.items()}


def shown(ratio: dict[str, float]) -> str:
    """Format a ratio like `1.23 (1.10-1.40)`."""
    return f"{ratio['median']:.2f} ({ratio['min']:.2f}-{ratio['max']:.2f})" if ratio else "-"
