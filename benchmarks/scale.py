"""Growth of cost with endpoints, queue length, workers, and farms on one Redis.

    python benchmarks/scale.py [--only endpoints,queued,workers,farms] [--endpoints 1,100,10000]
        [--queued 0,1000000] [--counts 10,50,500] [--farms 1,2,4] [--workers 50] [--concurrency N] [--jobs 60000]
        [--seconds 4] [--rounds 2] [--fill-seconds 10] [--receiver nginx|own]
        [--quick] [--insist] [--json FILE|-] [--save [DIR]]

endpoints   deliveries a second and CPU time per delivery, with the jobs spread over this number of endpoints
queued      the same over 100 endpoints, with this number of further jobs in the queue behind the measured ones
workers     time until this number of workers is ready, and memory of a worker (USS): ready, and with POSTs in
            flight to slow receivers
farms       deliveries a second of this number of farms, each with `--workers`, on one Redis

Each row has its own servers. `cost` is the CPU time of farm and Redis per delivery; `grows` is its ratio to the
first row of the same round.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from support import contest, plot, program, report, versions
from support.contest import Course, Hookfarm
from support.farm import FarmSettings, delivery_farm
from support.limits import Figures
from support.readying import fork_to_ready, weigh
from support.receivers import Recorder

ENDPOINTS, QUEUED, WORKERS, FARMS = "endpoints", "queued", "workers", "farms"
SPREAD_ENDPOINTS = 100
SLOW_SECONDS = 2.0
"""Response time of the receivers while the memory of workers with POSTs in flight is measured."""
FARM_START_SECONDS = 1.0
"""Delay of the measurement per additional farm: the first farm delivers while the others start."""
IN_FLIGHT_JOBS = 200
"""Jobs per worker while memory under load is measured."""
QUICK = {
    "endpoints": [1, 20], "queued": [0, 2000], "counts": [4], "farms": [1, 2], "workers": 4, "jobs": 1000,
    "seconds": 0.5, "fill_seconds": 1.0, "rounds": 1,
}  # fmt: skip


def main() -> int:
    options = _options()
    nginx = program.nginx_wanted(options)
    warm_up = f"{contest.WARM_UP_SECONDS:g} s"
    knobs = program.knobs(options) | {"receiver": "nginx" if nginx else "own", "warm_up": warm_up}
    result = program.begin("scale", options, knobs, nginx)
    parts = {name: PARTS[name](options, nginx) for name in options.only}
    charts = [_chart(name, rows) for name, rows in parts.items()]
    program.finish(options, {**result, "parts": parts}, *charts)
    return 0


def _options() -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument("--only", type=program.names(*PARTS), default=list(PARTS), help="parts")
    parser.add_argument("--endpoints", type=program.numbers, default=[1, 100, 10_000])
    parser.add_argument("--queued", type=program.numbers, default=[0, 1_000_000])
    parser.add_argument("--counts", type=program.numbers, default=[10, 50, 500], help="numbers of workers")
    parser.add_argument("--farms", type=program.numbers, default=[1, 2, 4])
    program.add_farm(parser)
    parser.add_argument("--jobs", type=int, default=60_000, help="measured jobs")
    parser.add_argument("--seconds", type=float, default=4.0, help="measured, per row")
    parser.add_argument("--rounds", type=int, default=2, help="of all rows except `workers`")
    parser.add_argument("--fill-seconds", type=float, default=10.0, help="until memory under load is measured")
    program.add_receiver(parser)
    return program.parse(parser, QUICK)


# Cost of a delivery


def _by_endpoints(options: argparse.Namespace, nginx: Path | None) -> list[Figures]:
    course = contest.course(options, nginx)
    courses = {count: replace(course, endpoints=count) for count in options.endpoints}
    return _costs(ENDPOINTS, {count: (Hookfarm(), one) for count, one in courses.items()}, options.rounds)


def _by_queue(options: argparse.Namespace, nginx: Path | None) -> list[Figures]:
    course = replace(contest.course(options, nginx), endpoints=SPREAD_ENDPOINTS)
    courses = {queued: replace(course, jobs=options.jobs + queued) for queued in options.queued}
    return _costs(QUEUED, {queued: (Hookfarm(), one) for queued, one in courses.items()}, options.rounds)


def _by_farms(options: argparse.Namespace, nginx: Path | None) -> list[Figures]:
    course = replace(contest.course(options, nginx), endpoints=SPREAD_ENDPOINTS, jobs=2 * options.jobs)
    starting = {farms: replace(course, start_seconds=FARM_START_SECONDS * (farms - 1)) for farms in options.farms}
    return _costs(FARMS, {farms: (Hookfarm(farms), one) for farms, one in starting.items()}, options.rounds)


def _costs(part: str, cases: dict[int, tuple[Hookfarm, Course]], rounds: int) -> list[Figures]:
    """Run all cases in turns; return the rows with their ratios to the first case of the same round."""
    measured = [{count: contest.run(*case) for count, case in cases.items()} for _ in range(rounds)]
    first = [next(iter(each.values())) for each in measured]
    rows = [_row(part, count, [each[count] for each in measured], first) for count in cases]
    _print_costs(part, rows)
    return rows


def _row(part: str, count: int, runs: Sequence[Figures], first: Sequence[Figures]) -> Figures:
    rates, first_rates = ([run["deliveries_per_second"] for run in some] for some in (runs, first))
    costs, first_costs = ([_cost_us(run) for run in some] for some in (runs, first))
    ratios = {"rate_ratio": versions.ratios(rates, first_rates), "grows": versions.ratios(costs, first_costs)}
    return {
        part: count,
        **contest.medians(runs),
        "cost_us": statistics.median(costs),
        **ratios,
        "runs": list(runs),
    }


def _cost_us(run: Figures) -> float:
    return float(run["cpu_us_per_delivery"]["workers"] + run["cpu_us_per_delivery"]["redis"])


def _print_costs(part: str, rows: Sequence[Figures]) -> None:
    header = (part, "deliveries/s", "of the first", "CPU µs: farm", "Redis", "cost", "grows")
    table = []
    for row in rows:
        cpu = row["cpu_us_per_delivery"]
        rate = (f"{row['deliveries_per_second']:,.0f}", versions.shown(row["rate_ratio"]))
        costs = (f"{cpu['workers']:.0f}", f"{cpu['redis']:.0f}", f"{row['cost_us']:.0f}")
        table.append((f"{row[part]:,}", *rate, *costs, versions.shown(row["grows"])))
    report.print_table(f"by {part}, medians of {len(rows[0]['runs'])} rounds", header, table)


# Workers


def _by_workers(options: argparse.Namespace, _: Path | None) -> list[Figures]:
    rows = []
    for workers in options.counts:
        settings = FarmSettings(workers, options.concurrency)
        memory = _memory(settings, options.fill_seconds)
        rows.append({WORKERS: workers, **fork_to_ready(settings), **memory})
    header = ("workers", "first fork to ready s", "command to ready s", "USS MB: ready", "in flight", "POSTs")
    table = [
        (
            f"{row[WORKERS]:,}",
            f"{row['first_fork_to_ready_seconds']:.2f}",
            f"{row['command_to_ready_seconds']:.2f}",
            f"{row['ready']['uss_max_mb']:.1f}",
            f"{row['in_flight']['uss_max_mb']:.1f}",
            f"{row['posts_in_flight']:,}",
        )
        for row in rows
    ]
    report.print_table("by workers; the largest worker", header, table)
    return rows


def _memory(settings: FarmSettings, fill_seconds: float) -> Figures:
    """Return the memory when ready, and `fill_seconds` after many jobs for slow endpoints were enqueued."""
    jobs = IN_FLIGHT_JOBS * settings.workers
    course = Course(jobs, 0.0, endpoints=SPREAD_ENDPOINTS, delay_seconds=SLOW_SECONDS)
    with contest.running_field(course) as field:
        assert isinstance(field.receiver, Recorder)
        with delivery_farm(field.place, field.server, settings) as farm:
            ready = weigh(farm)
            Hookfarm().fill(field)
            time.sleep(fill_seconds)
            posts = field.receiver.load().in_flight
            return {"ready": ready, "in_flight": weigh(farm), "posts_in_flight": posts}


PARTS: dict[str, Callable[[argparse.Namespace, Path | None], list[Figures]]] = {
    ENDPOINTS: _by_endpoints,
    QUEUED: _by_queue,
    WORKERS: _by_workers,
    FARMS: _by_farms,
}


def _chart(part: str, rows: Sequence[Figures]) -> plot.Chart:
    if part == WORKERS:
        ready = {f"{row[part]:,} workers": {"": row["first_fork_to_ready_seconds"]} for row in rows}
        return plot.bars("seconds from the first fork to ready", ready)
    costs = {f"{row[part]:,} {part}": row["cpu_us_per_delivery"] for row in rows}
    return plot.bars(f"CPU, microseconds for each delivery, by {part}", costs)


if __name__ == "__main__":
    sys.exit(main())
