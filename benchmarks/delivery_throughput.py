"""Throughput, cost and latency of deliveries.

    python benchmarks/delivery_throughput.py [--workers 50] [--concurrency N] [--jobs 60000] [--receiver nginx|own]
        [--repeat 3] [--no-latency] [--base PATH] [--quick] [--insist] [--json FILE|-] [--save [DIR]]

Two phases, each with its own servers and farm:

1. Throughput: all jobs are queued before the farm starts, so it is never short of work. Capacity is measured
   between the samples at which 10 % and 90 % of the jobs are settled. The run with the highest capacity counts.
   With `--base`, that checkout of hookfarm runs in turns with this one; ratios compare the runs of a round.
2. Latency: jobs are enqueued in batches of 2 ms, at 50 a second (idle), at a tenth and at half of that capacity.
   Latency is measured from just before a batch is enqueued to the arrival of its webhooks. The receiver verifies
   signatures.

The benchmark fails if a run ends with jobs in the ledger.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from support import backlog, plot, program, report, speed, versions
from support.environment import Environment, running_environment
from support.farm import Farm, FarmSettings
from support.limits import Figures
from support.processes import Groups, Sample, sample
from support.redis_server import AofBytes, RedisServer
from support.versions import Version
from support.waiting import until
from support.webhooks import pace

from hookfarm.delivery_queue import read_depths
from hookfarm.status import readiness
from hookfarm.store import keys

SAMPLE_SECONDS = 0.02
FROM_SHARE, TO_SHARE = 0.1, 0.9
IDLE_PER_SECOND = 50.0
PACED_SHARES = (0.1, 0.5)
PACED_SECONDS = 10.0
PACED_WARM_UP_SECONDS = 2.0
SETTLE_SECONDS = 1.0
QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}


QUICK = {"workers": 8, "jobs": 1500, "repeat": 1, "paced_seconds": 1.0}
COMPARED: dict[str, Callable[[Figures], float]] = {
    "deliveries_per_second": lambda run: run["deliveries_per_second"],
    "worker CPU": lambda run: run["worker_cpu_us_per_delivery"]["total"],
    "Redis CPU": lambda run: run["redis_cpu_us_per_delivery"]["total"],
    "append-only bytes": lambda run: run["aof_bytes_per_delivery"],
}


def main() -> int:
    options = _options()
    nginx = program.nginx_wanted(options)
    warm_up = f"first {FROM_SHARE:.0%} of the jobs, {PACED_WARM_UP_SECONDS:g} s of the latency phase"
    knobs = program.knobs(options) | {"receiver": "nginx" if nginx else "own", "warm_up": warm_up}
    result: Figures = program.begin("delivery_throughput", options, knobs, nginx)
    runs, base_runs = _rounds(options, nginx)
    best = max(runs, key=lambda run: float(run["deliveries_per_second"]))
    result |= {"best": best, "runs": runs}
    if base_runs:
        result |= {"base_runs": base_runs, "of_base": _of_base(runs, base_runs)}
    if not options.no_latency:
        result["latency"] = _latencies(options, float(best["deliveries_per_second"]))
    cpu = {f"run {number}": run["cpu_us_per_delivery"] for number, run in enumerate(runs, 1)}
    program.finish(options, result, plot.bars("CPU, microseconds for each delivery", cpu))
    return 0


def _options() -> argparse.Namespace:
    parser = program.parser(__doc__, repeat=3)
    program.add_farm(parser)
    parser.add_argument("--jobs", type=int, default=60_000)
    program.add_receiver(parser)
    program.add_base(parser)
    parser.add_argument("--no-latency", action="store_true", help="only the first phase")
    parser.add_argument("--paced-seconds", type=float, default=PACED_SECONDS, help="measured, per rate")
    return program.parse(parser, QUICK)


# Throughput


def _rounds(options: argparse.Namespace, nginx: Path | None) -> tuple[list[Figures], list[Figures]]:
    """Run this checkout and the base in turns; return the figures of both."""
    runs, base_runs = [], []
    for number in range(1, options.repeat + 1):
        runs.append(_throughput(program.farm_settings(options), options.jobs, nginx))
        report.print_numbers(f"throughput, run {number} of {options.repeat}", runs[-1])
        if options.base:
            base_runs.append(_base(options))
            report.print_numbers(f"base, run {number} of {options.repeat}", base_runs[-1])
    return runs, base_runs


def _base(options: argparse.Namespace) -> Figures:
    """Run the other checkout with its own version of this benchmark."""
    given = ["--workers", str(options.workers), "--jobs", str(options.jobs), "--repeat", "1", "--no-latency"]
    given += ["--receiver", options.receiver] if options.receiver else []
    ran: Figures = Version(options.base).run("delivery_throughput.py", *given, "--json", "-")
    return dict(ran["best"])


def _of_base(runs: list[Figures], base_runs: list[Figures]) -> Figures:
    """Return the ratios of each figure to the base over the rounds, and print them."""
    found = {
        name: versions.ratios([figure(run) for run in runs], [figure(run) for run in base_runs])
        for name, figure in COMPARED.items()
    }
    rows = [(name, versions.shown(ratio)) for name, ratio in found.items()]
    report.print_table("ratio to the base: median, least and greatest of the rounds", ("", "ratio"), rows)
    return found


def _throughput(settings: FarmSettings, jobs: int, nginx: Path | None) -> Figures:
    with running_environment(nginx) as environment:
        with environment.enqueuer() as enqueuer:
            body_bytes = backlog.fill(environment.server, enqueuer, jobs)
        time.sleep(SETTLE_SECONDS)
        now = speed.measure()
        began, written = time.monotonic(), AofBytes(environment.server)
        with environment.delivery_farm(settings) as farm:
            samples = _watch(environment, farm, jobs, written)
            status = _final_status(environment.server, jobs)
    figures = _figures(samples, jobs, began, status)
    aof = {"aof_bytes_per_delivery": round(written.counted / jobs, 1)}
    return {**figures, **aof, "body_bytes": body_bytes, "speed_before": now}


def _watch(environment: Environment, farm: Farm, jobs: int, written: AofBytes) -> list[Sample]:
    """Return samples at readiness, at 10 % and 90 % of the deliveries, and at the last delivery."""
    groups = _groups(environment, farm)
    wanted = [0, int(FROM_SHARE * jobs), int(TO_SHARE * jobs), jobs]
    samples: list[Sample] = []
    while len(samples) < len(wanted):
        _check(environment.server, farm)
        written.look()
        settled, at = jobs - read_depths(environment.server.client).undelivered, time.monotonic()
        while len(samples) < len(wanted) and settled >= wanted[len(samples)]:
            samples.append(sample(groups, settled, at))
        time.sleep(SAMPLE_SECONDS)
    return samples


def _groups(environment: Environment, farm: Farm) -> Groups:
    """Return all processes of a run."""
    workers = farm.workers()
    return {
        "workers": workers,
        "master_and_keeper": [process for process in farm.processes() if process not in workers],
        "redis": [psutil.Process(environment.server.pid)],
        "receiver": environment.receiver.processes,
        "benchmark": [psutil.Process()],
    }


def _cores(before: Sample, after: Sample) -> Figures:
    """Return the cores that each group, and all other processes, used between two samples."""
    elapsed = after.at - before.at
    used = {name: (after.cpu[name] - before.cpu[name]).total for name in before.cpu}
    others = after.busy - before.busy - sum(used.values())
    return {
        "cores_used": {name: round(seconds / elapsed, 2) for name, seconds in used.items()},
        "cores_used_by_others": round(others / elapsed, 2),
    }


def _check(server: RedisServer, farm: Farm) -> None:
    farm.check_alive()
    left = read_depths(server.client)
    if left.retry or left.dead:
        raise RuntimeError(f"attempts fail ({left}):\n{farm.last_words()}")


def _final_status(server: RedisServer, jobs: int) -> Figures:
    """Return the service's status after it has counted all deliveries. The ledger must be empty."""
    left = read_depths(server.client)
    assert (left.queued, left.open, left.parked, left.retry, left.dead) == (0, 0, 0, 0, 0), left

    def status() -> Figures:
        said = readiness.read_status(server.client, keys.WEBHOOK_DELIVERY) or {}
        return said if said.get("delivered", 0) >= jobs else {}

    said = until(status, "the count of all deliveries in the status")
    assert said["delivered"] == jobs, f"{said['delivered']} deliveries of {jobs} jobs"
    assert said["failed_attempts"] == 0, f"{said['failed_attempts']} attempts failed"
    return said


def _figures(samples: list[Sample], jobs: int, began: float, status: Figures) -> Figures:
    first, low, high, last = samples
    counted, elapsed = high.settled - low.settled, high.at - low.at
    used = {name: high.cpu[name] - low.cpu[name] for name in low.cpu}
    return {
        "deliveries_per_second": round(counted / elapsed, 1),
        "ready_to_last_per_second": round((jobs - first.settled) / (last.at - first.at), 1),
        "from_command_per_second": round(jobs / (last.at - began), 1),
        "cpu_us_per_delivery": {name: part.per(counted)["total"] for name, part in used.items()},
        "worker_cpu_us_per_delivery": used["workers"].per(counted),
        "redis_cpu_us_per_delivery": used["redis"].per(counted),
        **_cores(low, high),
        "command_to_ready_under_load_seconds": round(first.at - began, 2),
        "post_ms_within_10_percent": status["post_ms"],
    }


# Latency


def _latencies(options: argparse.Namespace, capacity: float) -> Figures:
    rates = {"idle": IDLE_PER_SECOND}
    rates |= {f"at_{share:.0%}_of_capacity": share * capacity for share in PACED_SHARES}
    found = {}
    for name, rate in rates.items():
        found[name] = _latency(program.farm_settings(options), rate, options.paced_seconds)
        report.print_numbers(f"latency, {name.replace('_', ' ')}", found[name])
    return found


def _latency(settings: FarmSettings, rate: float, seconds: float) -> Figures:
    with (
        running_environment() as environment,
        environment.delivery_farm(settings) as farm,
        environment.enqueuer() as enqueuer,
    ):
        paced = enqueuer.prepare(int(rate * (PACED_WARM_UP_SECONDS + seconds)))
        groups = _groups(environment, farm)
        began = sample(groups, 0)
        handed = pace(enqueuer, paced, rate)
        ended = sample(groups, len(handed))
        until(lambda: not read_depths(environment.server.client).undelivered, "the delivery of all jobs")
        status = _final_status(environment.server, len(handed))
        came = environment.recorder.arrivals()
    assert came.keys() == handed.keys(), f"{len(handed)} handed off, {len(came)} arrived"
    counted_from = min(handed.values()) + PACED_WARM_UP_SECONDS * 1e9
    waited = [(came[webhook_id] - at) / 1e6 for webhook_id, at in handed.items() if at > counted_from]
    return {
        "jobs_counted": len(waited),
        "offered_per_second": round(len(handed) / (ended.at - began.at), 1),
        **_cores(began, ended),
        "hand_off_to_arrival_ms": report.quantiles(waited, QUANTILES),
        "post_ms_within_10_percent": status["post_ms"],
    }


if __name__ == "__main__":
    sys.exit(main())
