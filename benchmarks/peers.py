"""hookfarm beside other Python task queues, with the same webhooks, Redis and receiver.

    python benchmarks/peers.py [--only hookfarm,floor,huey,…] [--workers 50] [--concurrency N] [--jobs 60000]
        [--seconds 4] [--rounds 3] [--receiver nginx|own] [--base PATH] [--cache DIR]
        [--quick] [--insist] [--json FILE|-] [--save [DIR]]

Each contestant takes jobs from a backlog in Redis and POSTs a JSON body of about 950 bytes, with the headers of
Standard Webhooks. `floor` is a bare loop of BRPOP, POST and ZREM in 50 processes. Each peer has its own virtual
environment with the versions of benchmarks/peers/requirements; it is made once, in `--cache`.

1. Check: a few webhooks of each contestant arrive at a receiver that verifies their signatures.
2. Trial: each peer runs at all its settings (support/peers.py); the best setting is used for the rounds.
3. Rounds: each contestant runs in turn, on a fresh server. Deliveries a second are counted at the receiver,
   after a warm-up of a second. A ratio compares two contestants of the same round.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from support import contest, plot, program, report, versions
from support.contest import Contestant, Course, Hookfarm
from support.limits import Figures
from support.peers import CACHE, PEERS, InstalledPeer, install_all
from support.trial import TriedPeer, best_setting, sized
from support.versions import Version

HOOKFARM, BASE = "hookfarm", "base"
NAMES = (HOOKFARM, *PEERS)
QUICK = {"only": [HOOKFARM, "floor", "huey"], "workers": 8, "jobs": 1500, "seconds": 1.0, "rounds": 1}

Runs = dict[str, Callable[[], Figures]]


def main() -> int:
    options = _options()
    nginx = program.nginx_wanted(options)
    shown = {"receiver": "nginx" if nginx else "own", "only": "+".join(options.only)}
    shown["warm_up"] = f"{contest.WARM_UP_SECONDS:g} s"
    result = program.begin("peers", options, program.knobs(options) | shown, nginx)
    course = contest.course(options, nginx)
    installed, skipped = install_all([name for name in options.only if name in PEERS], options.cache)
    chosen = {peer.peer.name: _choose(peer, course, options.quick) for peer in installed}
    runs = _runs(options, course, chosen)
    rounds = [_round(number, runs) for number in range(1, options.rounds + 1)]
    compared = _compared(rounds)
    _print(compared, chosen)
    settings = {name: str(contestant.setting) for name, contestant in chosen.items()}
    packages = {peer.peer.name: peer.versions() for peer in installed}
    result |= {"packages": packages, "skipped": skipped, "settings": settings}
    chart = plot.bars(
        "deliveries a second", {name: {"": row["deliveries_per_second"]} for name, row in compared.items()}
    )
    program.finish(options, {**result, "compared": compared, "rounds": rounds}, chart)
    return 0


def _options() -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument("--only", type=program.names(*NAMES), default=list(NAMES), help="contestants")
    program.add_farm(parser)
    parser.add_argument("--jobs", type=int, default=60_000, help="queued, at most")
    parser.add_argument("--seconds", type=float, default=4.0, help="measured, per run")
    parser.add_argument("--rounds", type=int, default=3)
    program.add_receiver(parser)
    program.add_base(parser)
    parser.add_argument(
        "--cache", type=Path, default=CACHE, help=f"directory of the virtual environments [default: {CACHE}]"
    )
    return program.parse(parser, QUICK)


def _choose(peer: InstalledPeer, course: Course, quick: bool) -> TriedPeer:
    settings = peer.peer.settings[:1] if quick else peer.peer.settings
    contest.check(TriedPeer(peer, settings[0]), replace(course, jobs=contest.CHECKED_JOBS))
    return best_setting(peer, settings, course)


def _runs(options: argparse.Namespace, course: Course, chosen: Mapping[str, TriedPeer]) -> Runs:
    runs: Runs = {}
    if HOOKFARM in options.only:
        contest.check(Hookfarm(), replace(course, jobs=contest.CHECKED_JOBS))
        runs[HOOKFARM] = lambda: contest.run(Hookfarm(), course)
    if options.base:
        runs[BASE] = lambda: Version(options.base).contest(course)
    return runs | {name: _run_of(contestant, sized(contestant, course)) for name, contestant in chosen.items()}


def _run_of(contestant: Contestant, course: Course) -> Callable[[], Figures]:
    return lambda: contest.run(contestant, course)


def _round(number: int, runs: Runs) -> dict[str, Figures]:
    """Run all contestants in turn; return their figures."""
    figures = {name: run() for name, run in runs.items()}
    rates = {name: each["deliveries_per_second"] for name, each in figures.items()}
    report.print_numbers(f"round {number}: deliveries a second", rates)
    return figures


def _compared(rounds: Sequence[Mapping[str, Figures]]) -> dict[str, Figures]:
    """Return each contestant's medians over the rounds, and the ratios of hookfarm's rate to its rate."""
    compared = {}
    for name in rounds[0]:
        runs = [each[name] for each in rounds]
        ours = [each.get(HOOKFARM, each[name])["deliveries_per_second"] for each in rounds]
        ratio = versions.ratios(ours, [run["deliveries_per_second"] for run in runs])
        compared[name] = {**contest.medians(runs), "hookfarm_ratio": ratio}
    return compared


def _print(compared: Mapping[str, Figures], chosen: Mapping[str, TriedPeer]) -> None:
    header = ("", "processes x tasks", "deliveries/s", "hookfarm is", "CPU µs: workers", "Redis")
    rows = []
    for name, row in compared.items():
        cpu, setting = row["cpu_us_per_delivery"], str(chosen[name].setting) if name in chosen else ""
        times = versions.shown(row["hookfarm_ratio"])
        rows.append(
            (
                name,
                setting,
                f"{row['deliveries_per_second']:,.0f}",
                times,
                f"{cpu['workers']:.0f}",
                f"{cpu['redis']:.0f}",
            )
        )
    report.print_table("median of the rounds; ratios with least and greatest", header, rows)


if __name__ == "__main__":
    sys.exit(main())
