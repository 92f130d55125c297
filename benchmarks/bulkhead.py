"""What one bad endpoint does to the healthy ones beside it.

    python benchmarks/bulkhead.py [--workers 50] [--healthy 20] [--bad-jobs 20000] [--jobs 40000] [--seconds 5]
        [--soak 65] [--patience 30] [--rounds 1] [--only silent,failing,slow,single] [--receiver nginx|own]
        [--insist] [--json FILE|-]

Phases back to back, each with servers and a farm of its own, a bad one always between two with none:

    alone    the healthy endpoints and nothing else: the baseline
    silent   beside an endpoint that accepts, reads and never answers
    failing  beside one that answers 500 at once
    slow     beside one that answers 200 after 10 s
    single   one healthy endpoint that answers after 50 ms, alone: how many workers it gets

The bad endpoint's jobs are queued first. A slow endpoint earns trust with every answer, so it has had the farm to
itself for `--soak` seconds before the healthy ones come. Then, in each phase:

1. Throughput: all healthy jobs are queued before the farm starts; deliveries a second from the first webhook of
   any kind until 90 % of them have come, counted at the receiver. A hole at the start is not forgiven; `sustained`
   leaves out the first 10 %. Where `--patience` ends before, what has come by then counts.
2. Latency: jobs at 20 % of the first baseline's throughput, in batches of 2 ms, from the moment before a batch is
   handed off to the arrival of each webhook.

Redis is asked nothing while it is measured. Every phase is compared with the median of the two baselines around
it; exit code 1 where a limit is not kept.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
from support import conditions, limits, program, report
from support.environment import directory
from support.farm import Farm, FarmSettings, delivery_farm, starting_delivery_farm
from support.limits import Figures, Limit, Verdict
from support.noisy_neighbour import Badness, NoisyNeighbour, running_noisy_neighbour
from support.processes import cpu_time
from support.receivers import Load, Receiver, running_recorder
from support.redis_server import running_redis
from support.waiting import until
from support.webhooks import Enqueuer, add_endpoint, pace

from hookfarm.registry.store import new_secret

LIMITS = {"per_second_and_free_core": Limit(">", 0.9), "p99_ms": Limit("<", 2.0)}
"""The promise: healthy deliveries/s fall by less than 10 %, and their p99 latency less than doubles. A core that
somebody else had is not free: on a machine of one's own, this is the ratio of deliveries/s itself."""
LEAST_OF_WORKERS = 0.8
"""Of all workers, on average, for an endpoint that is alone; at some moment it must be all."""
BAD = {"silent": Badness(0), "failing": Badness(500), "slow": Badness(200, after_seconds=10.0)}
SOAKED = ("slow",)
ALONE, SINGLE = "alone", "single"
PACED_SHARE = 0.2
PACED_WARM_UP_SECONDS = 2.0
SAMPLE_SECONDS = 0.02
SINGLE_ANSWER_SECONDS = 0.05
SINGLE_WARM_UP_SECONDS = 2.0


@dataclass(frozen=True)
class PhaseSample:
    """`at`: monotonic; `others`: CPU seconds of the machine so far that the phase has not used."""

    at: float
    came: int
    bad: Load
    others: float


def main() -> int:
    options = _options()
    nginx = program.nginx_wanted(options)
    shown = {"receiver": "nginx" if nginx else "own", "only": "+".join(options.only)}
    result = program.begin("bulkhead", options, program.knobs(options) | shown, nginx)
    phases = list(_phases(options, nginx))
    verdicts = _verdicts(phases)
    if SINGLE in options.only:
        single = _single(options.workers, options.seconds)
        report.print_numbers("single", single)
        phases.append(single)
        verdicts += _verdicts_on_single(single, options.workers)
    _print_table(phases)
    report.print_table("verdicts", limits.HEADER, [verdict.row() for verdict in verdicts])
    report.write_json(options.json, {**result, "phases": phases, "verdicts": [v.as_json() for v in verdicts]})
    return 0 if all(verdict.kept for verdict in verdicts) else 1


def _options() -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument("--workers", type=int, default=50)
    parser.add_argument("--healthy", type=int, default=20, help="how many healthy endpoints")
    parser.add_argument("--bad-jobs", type=int, default=20_000, help="queued for the bad one")
    parser.add_argument("--jobs", type=int, default=40_000, help="queued for the healthy ones")
    parser.add_argument("--seconds", type=float, default=5.0, help="of the latency of a phase, and of `single`")
    parser.add_argument("--soak", type=float, default=65.0, help="seconds that the slow one has alone first")
    parser.add_argument("--patience", type=float, default=30.0, help="seconds to wait for healthy jobs")
    parser.add_argument("--rounds", type=int, default=1, help="of all phases but `single`")
    parser.add_argument("--only", type=_names, default=[*BAD, SINGLE], help="silent,failing,slow,single")
    program.add_receiver(parser)
    return parser.parse_args()


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - {*BAD, SINGLE}:
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: must be of {', '.join([*BAD, SINGLE])}")
    return names


# Phases


def _phases(options: argparse.Namespace, nginx: Path | None) -> Iterator[Figures]:
    """A baseline, and then each bad endpoint with a baseline behind it."""
    bad = [name for name in BAD if name in options.only] * options.rounds
    order = [ALONE, *(part for each in bad for part in (each, ALONE))] if bad else []
    rate = 0.0
    for name in order:
        figures = _phase(name, options, nginx, rate)
        rate = rate or figures["paced_per_second"]
        report.print_numbers(name, figures)
        yield figures


def _phase(name: str, options: argparse.Namespace, nginx: Path | None, rate: float) -> Figures:
    """`rate`: of the latency part; 0 = by this phase's own throughput."""
    with running_noisy_neighbour(nginx, options.healthy, BAD.get(name, BAD["silent"])) as environment:
        if name in BAD:
            with environment.enqueuer(environment.bad) as enqueuer:
                environment.fill(enqueuer, options.bad_jobs)
        if name in SOAKED:
            with delivery_farm(environment.place, environment.server, FarmSettings(options.workers)):
                time.sleep(options.soak)
        with environment.enqueuer(*environment.healthy) as enqueuer:
            environment.fill(enqueuer, options.jobs)
            with starting_delivery_farm(
                environment.place, environment.server, FarmSettings(options.workers)
            ) as farm:
                figures = _throughput(environment, farm, options)
                rate = rate or PACED_SHARE * figures["deliveries_per_second"]
                figures |= _latency(environment, enqueuer, rate, options, all_came=figures["came"] >= options.jobs)
                environment.bad_receiver.end()
    return {"phase": name, **figures}


def _throughput(environment: NoisyNeighbour, farm: Farm, options: argparse.Namespace) -> Figures:
    """From the first webhook of any kind: on a busy machine workers deliver long before the farm is ready."""
    until(lambda: environment.bad_receiver.requests() or environment.counting.requests(), "the first webhook")
    began = _now(environment, farm)
    low, high, last = (
        _when(environment, farm, share * options.jobs, began.at + options.patience) for share in (0.1, 0.9, 1.0)
    )
    elapsed = high.at - began.at
    rate = _per_second(high.came - began.came, elapsed)
    others = (high.others - began.others) / elapsed
    return {
        "came": last.came,
        "deliveries_per_second": rate,
        "per_second_and_free_core": round(rate / (conditions.CORES - others), 1),
        "sustained_per_second": _per_second(high.came - low.came, high.at - low.at),
        "cores_used_by_others": round(others, 2),
        "first_to_10_percent_seconds": round(low.at - began.at, 2),
        "bad_attempts_per_second": _per_second(high.bad.requests - began.bad.requests, elapsed),
        "workers_at_the_bad_one": {
            "mean": _per_second(high.bad.in_flight_seconds - began.bad.in_flight_seconds, elapsed),
            "peak": high.bad.peak_in_flight,
        },
    }


def _per_second(count: float, seconds: float) -> float:
    return round(count / seconds, 1) if seconds else 0.0


def _when(environment: NoisyNeighbour, farm: Farm, wanted: float, gives_up: float) -> PhaseSample:
    """When so many healthy webhooks had come, or patience ended."""
    while environment.counting.requests() < wanted and time.monotonic() < gives_up:
        farm.check_alive()
        time.sleep(SAMPLE_SECONDS)
    return _now(environment, farm)


def _now(environment: NoisyNeighbour, farm: Farm) -> PhaseSample:
    at, came, bad = time.monotonic(), environment.counting.requests(), environment.bad_receiver.load()
    ours = cpu_time([*farm.processes(), *environment.processes(), psutil.Process()])
    return PhaseSample(at, came, bad, conditions.busy_seconds() - ours.total)


def _latency(
    environment: NoisyNeighbour, enqueuer: Enqueuer, rate: float, options: argparse.Namespace, all_came: bool
) -> Figures:
    """Nothing is measured where the healthy backlog stands still: a webhook that never comes has no latency."""
    figures: Figures = {"paced_per_second": round(rate, 1), "p50_ms": None, "p99_ms": None}
    if not all_came or not rate:
        return figures
    environment.lead_to(environment.noting)
    paced = enqueuer.prepare(int(rate * (PACED_WARM_UP_SECONDS + options.seconds)))
    handed = pace(enqueuer, paced, rate)
    came_until = _wait_for(environment.noting, len(handed), options.patience)
    came = environment.noting.arrivals()
    counted_from = min(handed.values()) + PACED_WARM_UP_SECONDS * 1e9
    seconds: dict[int, list[float]] = {}
    for each, at in handed.items():
        if at > counted_from:
            waited = (came.get(each, came_until) - at) / 1e6
            seconds.setdefault(int((at - counted_from) / 1e9), []).append(waited)
    everything = [waited for each in seconds.values() for waited in each]
    figures |= report.quantiles(everything, {"p50_ms": 0.5, "p99_ms": 0.99, "max_ms": 1.0})
    median_second = statistics.median(report.quantile(each, 0.99) for each in seconds.values())
    figures["p99_of_the_median_second_ms"] = round(median_second, 3)
    return {**figures, "counted": len(everything), "never_came": len(handed.keys() - came.keys())}


def _wait_for(receiver: Receiver, wanted: int, patience: float) -> int:
    """Unix time in ns at which so many had come, or at which patience ended."""
    gives_up = time.monotonic() + patience
    while receiver.requests() < wanted and time.monotonic() < gives_up:
        time.sleep(SAMPLE_SECONDS)
    return time.time_ns()


def _single(workers: int, seconds: float) -> Figures:
    secret = new_secret()
    with (
        directory() as place,
        running_redis(place / "redis") as server,
        running_recorder(secret, place / "recorder", after_seconds=SINGLE_ANSWER_SECONDS) as recorder,
    ):
        enqueuer = Enqueuer(server.url, add_endpoint(server.client, recorder.url, secret))
        at_most = workers / SINGLE_ANSWER_SECONDS
        enqueuer.enqueue(enqueuer.prepare(int(at_most * (SINGLE_WARM_UP_SECONDS + seconds))))
        enqueuer.close()
        until(server.settled, "the append-only file being rewritten", within_seconds=60)
        with delivery_farm(place, server, FarmSettings(workers)):
            time.sleep(SINGLE_WARM_UP_SECONDS)
            began, before = time.monotonic(), recorder.load()
            time.sleep(seconds)
            elapsed, after = time.monotonic() - began, recorder.load()
    mean = _per_second(after.in_flight_seconds - before.in_flight_seconds, elapsed)
    return {
        "phase": SINGLE,
        "deliveries_per_second": _per_second(after.requests - before.requests, elapsed),
        "workers_in_use": {"mean": mean, "peak": after.peak_in_flight},
    }


# Verdicts


def _verdicts(phases: list[Figures]) -> list[Verdict]:
    return [
        limits.verdict(phases, name, figure, limit)
        for name in BAD
        for figure, limit in LIMITS.items()
        if any(phase["phase"] == name for phase in phases)
    ]


def _verdicts_on_single(single: Figures, workers: int) -> list[Verdict]:
    used = single["workers_in_use"]
    return [
        Verdict("single: workers in use at once", used["peak"], Limit(">", workers - 1)),
        Verdict("single: workers in use on average", used["mean"], Limit(">", LEAST_OF_WORKERS * workers)),
    ]


_COLUMNS = (
    "",
    "deliveries/s",
    "others' cores",
    "/s and free core",
    "p50 ms",
    "p99 ms",
    "at the bad one: mean",
    "peak",
)


def _print_table(phases: list[Figures]) -> None:
    rows = []
    for phase in phases:
        if phase["phase"] != SINGLE:
            rates = (f"{phase['deliveries_per_second']:,.0f}", f"{phase['cores_used_by_others']:.2f}")
            per_core = f"{phase['per_second_and_free_core']:,.0f}"
            delays = ("never" if phase[name] is None else f"{phase[name]:.1f}" for name in ("p50_ms", "p99_ms"))
            held = phase["workers_at_the_bad_one"]
            rows.append((phase["phase"], *rates, per_core, *delays, f"{held['mean']:g}", str(held["peak"])))
    if rows:
        report.print_table("phases, as they were run", _COLUMNS, rows)


if __name__ == "__main__":
    sys.exit(main())
