"""Effect of failing endpoints on the throughput and latency of healthy ones.

    python benchmarks/outage.py [--faults silent,refusing,failing,slow,dripping,dead-names] [--failing 1,40,1000]
        [--healthy 20] [--healthy-ms 0,20] [--workers 50] [--concurrency N] [--jobs 30000] [--failing-jobs 20000]
        [--seconds 5] [--soak 65] [--patience 30] [--receiver nginx|own]
        [--quick] [--insist] [--json FILE|-] [--save [DIR]]

One row per fault and number of failing endpoints. The failing endpoints

    silent      read the webhook and never respond
    refusing    refuse the connection
    failing     respond 500 at once
    slow        respond 200 after 10 s
    dripping    send their response a byte a second, without end
    dead-names  have names whose name server does not respond (needs root: its own mount namespace)

Before and after each row, a phase measures the healthy endpoints alone; the row is compared with the mean of both.
Each phase has its own servers and farm. Jobs of the failing endpoints are queued first. Slow endpoints succeed, so
their windows may grow; they have the farm for `--soak` seconds before the healthy ones are added.

1. Throughput: all jobs are queued before the farm starts. Deliveries a second are counted at the receiver, from
   the first attempt of any kind until 90 % of the healthy webhooks have arrived, or `--patience` is over.
2. Latency: jobs are enqueued at 20 % of the throughput alone. Latency is measured from just before a batch is
   enqueued to the arrival of each webhook; a webhook that never arrives counts until the end.

Exit code 1 if healthy endpoints have less than 90 % of their throughput alone. Exit code 1 also if their p99 is
over 10 ms and over twice that of alone.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from support import dead_dns, plot, program, report
from support.farm import Farm, FarmSettings, delivery_farm, starting_delivery_farm
from support.limits import Figures, Limit, ratio
from support.neighbours import FAULTS, Fault, Neighbours, running_neighbours
from support.waiting import until
from support.webhooks import Enqueuer, pace

THROUGHPUT = Limit(least=0.9)
P99_MS = Limit(most=2.0, enough=10.0)
ALONE = "alone"
SOAKED = "slow"
COUNTED_SHARE = 0.9
PACED_SHARE = 0.2
PACED_WARM_UP_SECONDS = 2.0
LOOK_SECONDS = 0.02
QUICK = {
    "faults": ["failing", "dead-names"], "failing": [3], "healthy_ms": [0], "healthy": 5, "workers": 8,
    "jobs": 800, "failing_jobs": 30, "seconds": 0.5, "soak": 0.0, "patience": 3.0,
}  # fmt: skip


@dataclass(frozen=True)
class Phase:
    """Healthy endpoints beside `failing` failing ones."""

    fault: str
    failing: int
    healthy_ms: int

    @property
    def name(self) -> str:
        return f"{self.failing:,} {self.fault}" if self.failing else ALONE


def main() -> int:
    options = _options()
    nginx = program.nginx_wanted(options)
    skipped = _skipped(options)
    warm_up = f"latency: {PACED_WARM_UP_SECONDS:g} s; throughput: none"
    knobs = program.knobs(options) | {"receiver": "nginx" if nginx else "own", "warm_up": warm_up}
    result = program.begin("outage", options, knobs, nginx)
    for fault, reason in skipped.items():
        report.print_numbers(f"{fault} is skipped", {"reason": reason})
    rows = [row for healthy_ms in options.healthy_ms for row in _compared(_measured(options, nginx, healthy_ms))]
    _print(rows)
    kept = all(row["throughput_kept"] and row["p99_kept"] for row in rows)
    program.finish(options, {**result, "skipped": skipped, "rows": rows}, *_charts(rows))
    return program.status(options, kept)


def _options() -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument("--faults", type=program.names(*FAULTS), default=list(FAULTS))
    parser.add_argument("--failing", type=program.numbers, default=[1, 40, 1000], help="failing endpoints")
    parser.add_argument("--healthy", type=int, default=20, help="healthy endpoints")
    parser.add_argument("--healthy-ms", type=program.numbers, default=[0, 20], help="their response times in ms")
    program.add_farm(parser)
    parser.add_argument("--jobs", type=int, default=30_000, help="queued for the healthy ones")
    parser.add_argument("--failing-jobs", type=int, default=20_000, help="queued for the failing ones together")
    parser.add_argument("--seconds", type=float, default=5.0, help="measured, of the latency phase")
    parser.add_argument("--soak", type=float, default=65.0, help="seconds before healthy endpoints join slow ones")
    parser.add_argument("--patience", type=float, default=30.0, help="seconds to wait for healthy webhooks")
    program.add_receiver(parser)
    return program.parse(parser, QUICK)


def _skipped(options: argparse.Namespace) -> dict[str, str]:
    """Remove faults that this machine does not support from the options; return them with the reason."""
    reason = dead_dns.missing()
    names = [name for name in options.faults if FAULTS[name].dead_name and reason]
    options.faults = [name for name in options.faults if name not in names]
    return {name: reason for name in names if reason}


# Phases


def _measured(options: argparse.Namespace, nginx: Path | None, healthy_ms: int) -> Iterator[Figures]:
    """Yield the figures of each phase, in the order alone, row, alone, row, …, alone."""
    alone = Phase("failing", 0, healthy_ms)
    rows = [Phase(fault, failing, healthy_ms) for fault in options.faults for failing in options.failing]
    rate = 0.0
    for phase in (alone, *(each for row in rows for each in (row, alone))):
        figures = _phase(phase, options, nginx, rate)
        rate = rate or figures["paced_per_second"]
        report.print_numbers(f"{phase.name}, healthy answer after {healthy_ms} ms", figures)
        yield {"phase": phase.name, "healthy_ms": healthy_ms, **figures}


def _phase(phase: Phase, options: argparse.Namespace, nginx: Path | None, rate: float) -> Figures:
    """Run a phase. `rate` is that of the latency part; 0 = derived from the throughput of this phase."""
    fault, seconds = FAULTS[phase.fault], phase.healthy_ms / 1000
    with running_neighbours(nginx, options.healthy, seconds, fault, phase.failing) as neighbours:
        settings = FarmSettings(options.workers, options.concurrency, prefix=neighbours.prefix)
        if phase.failing:
            neighbours.fill(neighbours.failing, options.failing_jobs)
        if phase.failing and phase.fault == SOAKED:
            with delivery_farm(neighbours.place, neighbours.server, settings):
                time.sleep(options.soak)
        neighbours.fill(neighbours.healthy, options.jobs)
        with starting_delivery_farm(neighbours.place, neighbours.server, settings) as farm:
            figures = _throughput(neighbours, farm, options)
            rate = rate or PACED_SHARE * figures["deliveries_per_second"]
            figures |= _latency(neighbours, farm, rate, options)
            _release(neighbours, fault)
    return figures


def _throughput(neighbours: Neighbours, farm: Farm, options: argparse.Namespace) -> Figures:
    """Measure from the first attempt of any kind, so that a gap at the start counts."""
    until(lambda: neighbours.counting.requests() or neighbours.failing_requests(), "the first attempt")
    began, failing_before = time.monotonic(), neighbours.failing_requests()
    came_before = neighbours.counting.requests()
    _await(neighbours, farm, COUNTED_SHARE * options.jobs, began + options.patience)
    elapsed, came = time.monotonic() - began, neighbours.counting.requests()
    attempts = (neighbours.failing_requests() - failing_before) / elapsed
    _await(neighbours, farm, options.jobs, began + options.patience)
    return {
        "deliveries_per_second": round((came - came_before) / elapsed, 1),
        "failing_attempts_per_second": round(attempts, 1),
        "came": neighbours.counting.requests(),
    }


def _await(neighbours: Neighbours, farm: Farm, wanted: float, gives_up: float) -> None:
    while neighbours.counting.requests() < wanted and time.monotonic() < gives_up:
        farm.check_alive()
        time.sleep(LOOK_SECONDS)


def _latency(neighbours: Neighbours, farm: Farm, rate: float, options: argparse.Namespace) -> Figures:
    neighbours.lead_to(neighbours.noting)
    enqueuer = Enqueuer(neighbours.server.url, *neighbours.healthy, first=options.jobs)
    handed = pace(enqueuer, enqueuer.prepare(int(rate * (PACED_WARM_UP_SECONDS + options.seconds))), rate)
    enqueuer.close()
    gives_up = time.monotonic() + options.patience
    while neighbours.noting.requests() < len(handed) and time.monotonic() < gives_up:
        farm.check_alive()
        time.sleep(LOOK_SECONDS)
    ended, came = time.time_ns(), neighbours.noting.arrivals()
    counted_from = min(handed.values()) + PACED_WARM_UP_SECONDS * 1e9
    waited = [(came.get(each, ended) - at) / 1e6 for each, at in handed.items() if at > counted_from]
    shown = report.quantiles(waited, {"p50_ms": 0.5, "p99_ms": 0.99, "max_ms": 1.0})
    never = len(handed.keys() - came.keys())
    return {"paced_per_second": round(rate, 1), **shown, "counted": len(waited), "never_came": never}


def _release(neighbours: Neighbours, fault: Fault) -> None:
    """End the receiver of the failing endpoints, so that the farm can stop."""
    if neighbours.failing_receiver and fault.recorder:
        neighbours.failing_receiver.end()


# Comparison


def _compared(phases: Iterator[Figures]) -> list[Figures]:
    """Return the rows with their ratios to alone, and `noise`, the ratio between a row's two baselines."""
    measured = list(phases)
    rows = []
    for before, row, after in zip(measured[0::2], measured[1::2], measured[2::2], strict=False):
        alone = {
            name: statistics.mean((before[name], after[name])) for name in ("deliveries_per_second", "p99_ms")
        }
        rate, p99 = row["deliveries_per_second"], row["p99_ms"]
        rows.append(
            {
                **row,
                "alone": alone,
                "throughput_ratio": round(ratio(rate, alone["deliveries_per_second"]), 3),
                "p99_ratio": round(ratio(p99, alone["p99_ms"]), 2),
                "noise": round(ratio(after["deliveries_per_second"], before["deliveries_per_second"]), 2),
                "throughput_kept": THROUGHPUT.is_kept(rate, alone["deliveries_per_second"]),
                "p99_kept": P99_MS.is_kept(p99, alone["p99_ms"]),
            }
        )
    return rows


def _print(rows: Sequence[Figures]) -> None:
    header = (
        "beside",
        "healthy ms",
        "deliveries/s",
        "of alone",
        "p50 ms",
        "p99 ms",
        "of alone",
        "alone varies",
        "",
    )
    table = []
    for row in rows:
        rate = (f"{row['deliveries_per_second']:,.0f}", f"{row['throughput_ratio']:.2f}")
        delays = (f"{row['p50_ms']:.1f}", f"{row['p99_ms']:.1f}", f"{row['p99_ratio']:.2f}")
        verdict = "PASS" if row["throughput_kept"] and row["p99_kept"] else "FAIL"
        table.append((row["phase"], str(row["healthy_ms"]), *rate, *delays, f"{row['noise']:.2f}", verdict))
    report.print_table("healthy endpoints beside failing ones", header, table)


def _charts(rows: Sequence[Figures]) -> list[plot.Chart]:
    labels = [f"{row['phase']}, {row['healthy_ms']} ms" for row in rows]
    rates = {label: {"": row["throughput_ratio"]} for label, row in zip(labels, rows, strict=True)}
    delays = {
        label: {"alone": row["alone"]["p99_ms"], "beside": row["p99_ms"]}
        for label, row in zip(labels, rows, strict=True)
    }
    return [
        plot.bars("throughput of healthy endpoints beside failing ones, 1 = alone", rates),
        plot.bars("p99 of healthy endpoints, ms (logarithmic)", delays, log=True),
    ]


if __name__ == "__main__":
    sys.exit(main())
