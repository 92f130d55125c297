"""Deliveries a second to slow receivers, beside the best asyncio task queue.

    python benchmarks/slow_receivers.py [--delays 0,10,50,200,1000] [--endpoints 1,100,10000]
        [--schemes http,https] [--only hookfarm,arq,saq,taskiq] [--workers 50] [--concurrency N] [--jobs 60000]
        [--seconds 4] [--rounds 1] [--receiver nginx|own] [--base PATH] [--cache DIR]
        [--quick] [--insist] [--json FILE|-] [--save [DIR]]

All endpoints are paths of one receiver: nginx without a delay, otherwise one in Python that verifies each
signature. For each delay, the asyncio peers run at all their settings; every row measures the best of them
beside the farm. Arrivals are counted after a warm-up of a second, or of five delays if that is longer. `slots`
is the limit of a farm with one POST in flight per process: workers ÷ delay.
"""

import argparse
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from support import contest, plot, program, report, versions
from support.contest import Course, Hookfarm
from support.limits import Figures
from support.peers import ASYNCIO_PEERS, CACHE, PEERS, InstalledPeer, install_all
from support.trial import TriedPeer, best_setting, sized
from support.versions import Version

HOOKFARM, BASE, PEER = "hookfarm", "base", "peer"
SCHEMES = ("http", "https")
QUICK = {
    "delays": [0, 50], "endpoints": [1, 20], "schemes": ["https"], "only": [HOOKFARM], "workers": 8, "jobs": 1000,
    "seconds": 1.0,
}  # fmt: skip


def main() -> int:
    options = _options()
    nginx = program.nginx_wanted(options)
    warm_up = f"{contest.WARM_UP_SECONDS:g} s, at least {contest.WARM_UP_DELAYS} delays"
    knobs = program.knobs(options) | {"receiver": "nginx" if nginx else "own", "warm_up": warm_up}
    result = program.begin("slow_receivers", options, knobs, nginx)
    peers, skipped = install_all([name for name in options.only if name in PEERS], options.cache)
    rows = list(_rows(options, nginx, peers))
    _print(rows)
    packages = {peer.peer.name: peer.versions() for peer in peers}
    result |= {"packages": packages, "skipped": skipped}
    program.finish(options, {**result, "rows": rows}, *_charts(rows, options.schemes))
    return 0


def _options() -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument("--delays", type=program.numbers, default=[0, 10, 50, 200, 1000], help="milliseconds")
    parser.add_argument("--endpoints", type=program.numbers, default=[1, 100, 10_000])
    parser.add_argument("--schemes", type=program.names(*SCHEMES), default=list(SCHEMES))
    contestants = (HOOKFARM, *ASYNCIO_PEERS)
    parser.add_argument("--only", type=program.names(*contestants), default=list(contestants), help="contestants")
    program.add_farm(parser)
    parser.add_argument("--jobs", type=int, default=60_000, help="queued, at most")
    parser.add_argument("--seconds", type=float, default=4.0, help="measured, per run")
    parser.add_argument("--rounds", type=int, default=1)
    program.add_receiver(parser)
    program.add_base(parser)
    parser.add_argument(
        "--cache", type=Path, default=CACHE, help=f"directory of the virtual environments [default: {CACHE}]"
    )
    return program.parse(parser, QUICK)


def _rows(options: argparse.Namespace, nginx: Path | None, peers: Sequence[InstalledPeer]) -> Iterator[Figures]:
    """Yield one row per delay, scheme and number of endpoints."""
    for delay in options.delays:
        course = replace(contest.course(options, nginx), delay_seconds=delay / 1000)
        best = _best_peer(peers, course)
        for scheme in options.schemes:
            for endpoints in options.endpoints:
                here = replace(course, tls=scheme == "https", endpoints=endpoints)
                rounds = [_round(options, here, best) for _ in range(options.rounds)]
                row = {"delay_ms": delay, "scheme": scheme, "endpoints": endpoints, "rounds": rounds}
                row |= {"slots_per_second": 1000 * options.workers / delay if delay else None}
                row |= {"peer": f"{best.name}, {best.setting}" if best else None, **_compared(rounds)}
                report.print_numbers(_label(row), row["deliveries_per_second"])
                yield row


def _best_peer(peers: Sequence[InstalledPeer], course: Course) -> TriedPeer | None:
    """Return the best peer at one endpoint without TLS; a peer's queue does not depend on either."""
    tried = [best_setting(peer, peer.peer.slow_settings, course) for peer in peers]
    return max(tried, key=lambda peer: peer.rate, default=None)


def _round(options: argparse.Namespace, course: Course, peer: TriedPeer | None) -> dict[str, Figures]:
    """Run each contestant once; return their figures."""
    figures = {}
    if HOOKFARM in options.only:
        figures[HOOKFARM] = contest.run(Hookfarm(), course)
    if options.base:
        figures[BASE] = Version(options.base).contest(course)
    if peer:
        figures[PEER] = contest.run(peer, sized(peer, course))
    return figures


def _compared(rounds: Sequence[Mapping[str, Figures]]) -> Figures:
    """Return medians over the rounds, and the ratios of hookfarm's rate to the others."""
    rates = {name: [each[name]["deliveries_per_second"] for each in rounds] for name in rounds[0]}
    ours = rates.get(HOOKFARM, [])
    others = {name: values for name, values in rates.items() if ours and name != HOOKFARM}
    return {
        "deliveries_per_second": {name: statistics.median(values) for name, values in rates.items()},
        "hookfarm_ratio": {name: versions.ratios(ours, values) for name, values in others.items()},
    }


def _label(row: Figures) -> str:
    return f"{row['delay_ms']} ms, {row['scheme']}, {row['endpoints']:,} endpoints"


def _print(rows: Sequence[Figures]) -> None:
    header = ("", "hookfarm/s", "slots", "base/s", "ratio", "best peer/s", "ratio", "peer, processes x tasks")
    table = []
    for row in rows:
        rates, ratio = row["deliveries_per_second"], row["hookfarm_ratio"]
        cells = [f"{rates[name]:,.0f}" if name in rates else "-" for name in (HOOKFARM, BASE, PEER)]
        times = [versions.shown(ratio.get(name, {})) for name in (BASE, PEER)]
        slots = f"{row['slots_per_second']:,.0f}" if row["slots_per_second"] else "-"
        table.append((_label(row), cells[0], slots, cells[1], times[0], cells[2], times[1], row["peer"] or "-"))
    report.print_table("deliveries a second; how many times as much hookfarm delivers", header, table)


def _charts(rows: Sequence[Figures], schemes: Sequence[str]) -> list[plot.Chart]:
    """Return one chart per scheme, logarithmic, because the rates span three powers of ten."""
    return [
        plot.bars(
            f"deliveries a second, {scheme} (logarithmic)",
            {_label(row): row["deliveries_per_second"] for row in rows if row["scheme"] == scheme},
            log=True,
        )
        for scheme in schemes
    ]


if __name__ == "__main__":
    sys.exit(main())
