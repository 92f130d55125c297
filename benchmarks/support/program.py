"""Common parts of all benchmark programs: options, conditions, result files and exit status."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from support import conditions, report
from support.conditions import CHECKOUT
from support.environment import end_on_sigterm
from support.farm import FarmSettings
from support.plot import Chart, document
from support.receivers import find_nginx

Result = dict[str, Any]
RESULTS = CHECKOUT / "benchmarks" / "results"
_OF_THE_RUN = ("json", "save", "insist", "quick", "cache")


def parser(words: str | None, repeat: int | None = None) -> argparse.ArgumentParser:
    """Return a parser with the common options, and --repeat if `repeat` is given. `words` is the description."""
    made = argparse.ArgumentParser(description=(words or "").partition("\n")[0])
    made.add_argument("--quick", action="store_true", help="short run, as a test of the program; checks no limit")
    made.add_argument("--insist", action="store_true", help="refuse to run on a busy machine (exit 1)")
    made.add_argument("--json", metavar="FILE", help="write the result to FILE, - for stdout")
    made.add_argument(
        "--save",
        nargs="?",
        type=Path,
        const=RESULTS,
        metavar="DIR",
        help="write the result and its plot to DIR [default: benchmarks/results]",
    )
    if repeat is not None:
        made.add_argument("--repeat", type=int, default=repeat, help="number of runs")
    return made


def parse(made: argparse.ArgumentParser, quick: Mapping[str, Any]) -> argparse.Namespace:
    """Parse the options; `quick` contains the defaults with --quick."""
    if made.parse_known_args()[0].quick:
        made.set_defaults(**quick)
    return made.parse_args()


def add_receiver(to: argparse.ArgumentParser) -> None:
    to.add_argument("--receiver", choices=("nginx", "own"), help="[default: nginx if it is installed]")


def add_farm(to: argparse.ArgumentParser) -> None:
    """Add the options that `farm_settings` reads."""
    to.add_argument("--workers", type=int, default=50, help="delivery processes")
    to.add_argument("--concurrency", type=int, help="POSTs in flight per process [default: the farm's own]")


def farm_settings(options: argparse.Namespace) -> FarmSettings:
    return FarmSettings(options.workers, options.concurrency)


def add_base(to: argparse.ArgumentParser) -> None:
    to.add_argument(
        "--base", type=Path, metavar="PATH", help="another checkout of hookfarm, run in the same rounds"
    )


def numbers(text: str) -> list[int]:
    """Parse integers separated by commas."""
    return [int(part) for part in text.split(",")]


def names(*allowed: str) -> Any:
    """Return a parser of allowed names separated by commas."""

    def parsed(text: str) -> list[str]:
        given = text.split(",")
        if unknown := set(given) - set(allowed):
            wrong = ", ".join(sorted(unknown))
            raise argparse.ArgumentTypeError(f"{wrong}: must be among {', '.join(allowed)}")
        return given

    return parsed


def nginx_wanted(options: argparse.Namespace) -> Path | None:
    """Return the path of nginx, None = use the recorder. Exit 2 if nginx was requested and is not installed."""
    nginx = find_nginx() if options.receiver in (None, "nginx") else None
    if options.receiver == "nginx" and nginx is None:
        print("receiver: nginx is not installed; use --receiver own", file=sys.stderr)
        raise SystemExit(2)
    return nginx


def knobs(options: argparse.Namespace) -> dict[str, Any]:
    """Return the options that figures depend on; a checkout is replaced by its commit."""
    shown = {name: value for name, value in vars(options).items() if name not in _OF_THE_RUN}
    return {name: conditions.commit(value) if isinstance(value, Path) else value for name, value in shown.items()}


def begin(name: str, options: argparse.Namespace, turned: Mapping[str, Any], nginx: Path | None = None) -> Result:
    """Print the conditions and return a result with them. Exit 1 on a busy machine with --insist.

    `turned` are the knobs. From now on, SIGTERM ends the benchmark with all processes that it started.
    """
    end_on_sigterm()
    found = conditions.observe(nginx)
    report.print_conditions(found, turned)
    if options.insist and not found.quiet:
        raise SystemExit(1)
    return {"benchmark": name, "conditions": found.as_json(), "knobs": dict(turned)}


def status(options: argparse.Namespace, kept: bool) -> int:
    """Return the exit status: 1 if a limit was exceeded, unless --quick is given."""
    return 0 if kept or options.quick else 1


def finish(options: argparse.Namespace, result: Result, *charts: Chart) -> None:
    """Write the result and the plot as requested by the options."""
    report.write_json(options.json, result)
    if options.save:
        name = f"{result['conditions']['date'][:10]}-{result['benchmark']}"
        report.write_json(str(options.save / f"{name}.json"), result)
        if charts:
            (options.save / f"{name}.svg").write_text(document(*charts), encoding="utf-8")
