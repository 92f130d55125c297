"""A benchmark as a program: the options that every one has, and what stands before its first number."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from support import conditions, report
from support.environment import end_on_sigterm
from support.receivers import find_nginx

Result = dict[str, Any]
_OF_THE_RUN = ("json", "insist")


def parser(words: str | None, repeat: int | None = None) -> argparse.ArgumentParser:
    """With --insist and --json, and --repeat where it has a default; `words` are the benchmark's own docstring."""
    made = argparse.ArgumentParser(description=(words or "").partition("\n")[0])
    made.add_argument("--insist", action="store_true", help="refuse to run on a busy machine (exit 1)")
    made.add_argument("--json", metavar="FILE", help="write the result there, - for stdout")
    if repeat is not None:
        made.add_argument("--repeat", type=int, default=repeat, help="how many runs")
    return made


def add_receiver(to: argparse.ArgumentParser) -> None:
    to.add_argument("--receiver", choices=("nginx", "own"), help="default: nginx where it is installed")


def nginx_wanted(options: argparse.Namespace) -> Path | None:
    """Where nginx is, None for a receiver of our own. Exit 2 where it was asked for and is not installed."""
    nginx = find_nginx() if options.receiver in (None, "nginx") else None
    if options.receiver == "nginx" and nginx is None:
        print("receiver: nginx is not installed; give --receiver own", file=sys.stderr)
        raise SystemExit(2)
    return nginx


def knobs(options: argparse.Namespace) -> dict[str, Any]:
    """The options that numbers depend on."""
    return {name: value for name, value in vars(options).items() if name not in _OF_THE_RUN}


def begin(name: str, options: argparse.Namespace, turned: Mapping[str, Any], nginx: Path | None = None) -> Result:
    """Prints the conditions and begins the result with them. Exit 1 where they must be quiet and are not.

    `turned`: the knobs as they are. From here on SIGTERM ends the benchmark with all that it started.
    """
    end_on_sigterm()
    found = conditions.observe(nginx)
    report.print_conditions(found, turned)
    if options.insist and not found.quiet:
        raise SystemExit(1)
    return {"benchmark": name, "conditions": found.as_json(), "knobs": dict(turned)}
