"""Output of a benchmark: conditions, then figures."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from support.conditions import BUSY_SHARE, Conditions


def print_conditions(conditions: Conditions, knobs: Mapping[str, Any]) -> None:
    """Print machine, software, knobs and load to stderr."""
    load = ", ".join(f"{value:.2f}" for value in conditions.load_average)
    packages = ", ".join(f"{name} {version}" for name, version in conditions.packages.items())
    _say(f"conditions  {conditions.date}, commit {conditions.commit}")
    machine = f"{conditions.cores} x {conditions.cpu}, {conditions.memory_gb} GB, Linux {conditions.kernel}"
    _say(f"  machine   {machine}")
    _say(f"  software  Python {conditions.python}; {conditions.redis_server}; {conditions.nginx or 'no nginx'}")
    _say(f"            {packages}")
    _say("  knobs     " + ", ".join(f"{name}={value}" for name, value in knobs.items()))
    _say(f"  load      {load} (1, 5, 15 min); {conditions.busy_before:.1%} of all cores in use before the run")
    speed = ", ".join(f"{name} {value:g}" for name, value in conditions.speed.items())
    _say(f"  speed     {speed} (support/speed.py)")
    if not conditions.quiet:
        _say(f"  WARNING   over {BUSY_SHARE:.0%} in use by others: {', '.join(conditions.busiest)}.")
        _say("            The figures below are too low; run again on a quiet machine.")


def print_numbers(title: str, numbers: Mapping[str, Any]) -> None:
    """Print one figure per line; the name contains the unit."""
    _say(title)
    for name, value in numbers.items():
        if isinstance(value, Mapping):
            shown = ", ".join(f"{key} {_shown(part)}" for key, part in value.items())
        else:
            shown = _shown(value)
        _say(f"  {name:<36} {shown}")


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; the first column is aligned left, the others right."""
    _say(title)
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        first, *others = (
            cell.rjust(width) if at else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        _say("  ".join((f"  {first}", *others)))


def write_json(place: str | None, result: Mapping[str, Any]) -> None:
    """Write the result to a file, or to stdout for `-`."""
    if place is None:
        return
    text = json.dumps(result, indent=2) + "\n"
    if place == "-":
        sys.stdout.write(text)
    else:
        Path(place).write_text(text, encoding="utf-8")


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value that `share` of `values` do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def quantiles(values: Sequence[float], shares: Mapping[str, float], digits: int = 3) -> dict[str, float]:
    """Return the rounded quantiles of `values` by the name of each share."""
    return {name: round(quantile(values, share), digits) for name, share in shares.items()}


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) < 100 else f"{value:.1f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
