"""A benchmark as a program: its common options, the conditions before the first number, and its result files."""

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
    """With the options of every benchmark, and --repeat if it has a default; `words` are its docstring."""
    made = argparse.ArgumentParser(description=(words or "").partition("\n")[0])
    made.add_argument("--quick", action="store_true", help="a short form: shows that it works, measures little")
    made.add_argument("--insist", action="store_true", help="refuse to run on a busy machine (exit 1)")
    made.add_argument("--json", metavar="FILE", help="write the result there, - for stdout")
    made.add_argument(
        "--save",
        nargs="?",
        type=Path,
        const=RESULTS,
        metavar="DIR",
        help="write the result and its plot there [default: benchmarks/results]",
    )
    if repeat is not None:
        made.add_argument("--repeat", type=int, default=repeat, help="how many runs")
    return made


def parse(made: argparse.ArgumentParser, quick: Mapping[str, Any]) -> argparse.Namespace:
    """The options; `quick` holds the defaults of the short form."""
    if made.parse_known_args()[0].quick:
        made.set_defaults(**quick)
    return made.parse_args()


def add_receiver(to: argparse.ArgumentParser) -> None:
    to.add_argument("--receiver", choices=("nginx", "own"), help="default: nginx where it is installed")


def add_farm(to: argparse.ArgumentParser) -> None:
    """The options that `farm_settings` reads."""
    to.add_argument("--workers", type=int, default=50, help="delivery processes")
    to.add_argument("--concurrency", type=int, help="POSTs in flight per process [default: the farm's own]")


def farm_settings(options: argparse.Namespace) -> FarmSettings:
    return FarmSettings(options.workers, options.concurrency)


def add_base(to: argparse.ArgumentParser) -> None:
    to.add_argument(
        "--base", type=Path, metavar="PATH", help="another checkout of hookfarm, run in the same rounds"
    )


def numbers(text: str) -> list[int]:
    """Integers separated by commas."""
    return [int(part) for part in text.split(",")]


def names(*allowed: str) -> Any:
    """A parser of allowed names separated by commas."""

    def parsed(text: str) -> list[str]:
        given = text.split(",")
        if unknown := set(given) - set(allowed):
            wrong = ", ".join(sorted(unknown))
            raise argparse.ArgumentTypeError(f"{wrong}: must be of {', '.join(allowed)}")
        return given

    return parsed


def nginx_wanted(options: argparse.Namespace) -> Path | None:
    """Path of nginx, None for a receiver of our own. Exit 2 if it was asked for and is not installed."""
    nginx = find_nginx() if options.receiver in (None, "nginx") else None
    if options.receiver == "nginx" and nginx is None:
        print("receiver: nginx is not installed; give --receiver own", file=sys.stderr)
        raise SystemExit(2)
    return nginx


def knobs(options: argparse.Namespace) -> dict[str, Any]:
    """The options that numbers depend on; a checkout is shown by its commit."""
    shown = {name: value for name, value in vars(options).items() if name not in _OF_THE_RUN}
    return {name: conditions.commit(value) if isinstance(value, Path) else value for name, value in shown.items()}


def begin(name: str, options: argparse.Namespace, turned: Mapping[str, Any], nginx: Path | None = None) -> Result:
    """Print the conditions and begin the result with them. Exit 1 if they must be quiet and are not.

    `turned`: the knobs as they are. From here on SIGTERM ends the benchmark with all that it started.
    """
    end_on_sigterm()
    found = conditions.observe(nginx)
    report.print_conditions(found, turned)
    if options.insist and not found.quiet:
        raise SystemExit(1)
    return {"benchmark": name, "conditions": found.as_json(), "knobs": dict(turned)}


def status(options: argparse.Namespace, kept: bool) -> int:
    """The exit status: 1 if a limit was not kept; the short form checks none."""
    return 0 if kept or options.quick else 1


def finish(options: argparse.Namespace, result: Result, *charts: Chart) -> None:
    """Write the result, and the plot, where the options ask for them."""
    report.write_json(options.json, result)
    if options.save:
        name = f"{result['conditions']['date'][:10]}-{result['benchmark']}"
        report.write_json(str(options.save / f"{name}.json"), result)
        if charts:
            (options.save / f"{name}.svg").write_text(document(*charts), encoding="utf-8")
