"""Cost of the API to the pipeline: idle, and with an open dashboard.

    python benchmarks/api_cost.py [--workers 50] [--jobs 8000] [--rounds 16] [--idle-seconds 15]
        [--receiver nginx|own] [--json FILE|-] [--insist]

In each round, one farm delivers `--jobs` queued webhooks per variant, as fast as it can:

    none      without an API
    idle      with an API without requests
    watched   with the requests of an open dashboard: the live stream, and the list of deliveries every two
              seconds; without the browser

The next round runs in the opposite order, and so on. The machine's speed drifts by more than the measured
effect. So each figure is compared with that of `none` in the same round. The result is the median of these
ratios with its quartiles and its standard error: of deliveries/s, and of the CPU time per delivery, API
included, which drifts less.

Exit code 1 if the idle API costs 2 % of the throughput or more, and more than the standard error.
"""

import argparse
import contextlib
import math
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

import psutil
from support import program, report
from support.dashboard_client import Api, running_api, watching
from support.environment import Environment, running_environment
from support.farm import Farm, FarmSettings
from support.limits import Figures
from support.processes import Groups, Sample, cpu_time, sample
from support.waiting import until
from support.webhooks import Enqueuer

from hookfarm.delivery_queue import read_depths
from hookfarm.registry.store import Registry

VARIANTS = ("none", "idle", "watched")
COMPARED = ("deliveries_per_second", "cpu_us_per_delivery")
FROM_SHARE, TO_SHARE = 0.1, 0.9
SAMPLE_SECONDS = 0.005
SETTLE_SECONDS = 0.5
PATIENCE_SECONDS = 120.0
ERROR_OF_QUARTILES = 0.93
"""Standard error of the median of n normally distributed values = this x interquartile range ÷ √n."""
MOST_SHARE = 0.02
"""Share of the throughput that the idle API may cost."""

QUICK = {"workers": 8, "jobs": 500, "rounds": 2, "idle_seconds": 0.5}


def main() -> int:
    options = _options()
    nginx = program.nginx_wanted(options)
    knobs = {"workers": options.workers, "jobs": options.jobs, "rounds": options.rounds}
    knobs |= {"receiver": "nginx" if nginx else "own", "warm_up": "a round that does not count"}
    result = program.begin("api_cost", options, knobs, nginx)
    with (
        running_environment(nginx) as environment,
        environment.delivery_farm(FarmSettings(options.workers)) as farm,
        environment.enqueuer() as enqueuer,
    ):
        rounds = _rounds(Pipeline(environment, farm, enqueuer), environment, options.jobs, options.rounds)
        alone = _alone(environment, options.idle_seconds)
    compared = {name: _compared(rounds, name) for name in VARIANTS}
    _print(len(rounds), compared)
    report.print_numbers("the API alone, without requests or deliveries", alone)
    program.finish(options, {**result, "compared": compared, "alone": alone, "rounds": rounds})
    idle = compared["idle"]["deliveries_per_second"]
    return program.status(options, 1 - idle["of_none"] - idle["give_or_take"] < MOST_SHARE)


def _options() -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument("--workers", type=int, default=50)
    parser.add_argument("--jobs", type=int, default=8000, help="delivered at a time")
    parser.add_argument("--rounds", type=int, default=16)
    parser.add_argument("--idle-seconds", type=float, default=15, help="duration of the API alone")
    program.add_receiver(parser)
    options = program.parse(parser, QUICK)
    if options.rounds < 2:
        parser.error("--rounds: quartiles take at least 2")
    return options


class Pipeline:
    """A farm that delivers batches of jobs as fast as it can."""

    def __init__(self, environment: Environment, farm: Farm, enqueuer: Enqueuer) -> None:
        self._environment = environment
        self._farm = farm
        self._enqueuer = enqueuer
        self._client = environment.server.client
        self._registry = Registry(self._client)

    def deliver(self, jobs: int, api: psutil.Process | None) -> Figures:
        """Deliver `jobs` jobs that were queued while their endpoint was disabled; return the figures."""
        self._registry.update(replace(self._environment.endpoint, enabled=False))
        self._enqueuer.enqueue(self._enqueuer.prepare(jobs))
        until(self._environment.server.settled, "the rewrite of the append-only file", within_seconds=60)
        time.sleep(SETTLE_SECONDS)
        groups = self._groups(api)
        self._registry.update(self._environment.endpoint)
        low, high = (self._sample_at(groups, jobs, share) for share in (FROM_SHARE, TO_SHARE))
        until(lambda: self._settled(jobs) == jobs, "the delivery of all jobs", PATIENCE_SECONDS)
        counted, elapsed = high.settled - low.settled, high.at - low.at
        used = {name: (high.cpu[name] - low.cpu[name]).total for name in groups}
        return {
            "deliveries_per_second": round(counted / elapsed, 1),
            "cpu_us_per_delivery": round(1e6 * sum(used.values()) / counted, 2),
            "api_cores": round(used["api"] / elapsed, 4),
        }

    def _groups(self, api: psutil.Process | None) -> Groups:
        """Return all processes that work for a delivery, without the benchmark."""
        others = [psutil.Process(self._environment.server.pid), *self._environment.receiver.processes]
        return {"pipeline": [*self._farm.processes(), *others], "api": [api] if api else []}

    def _sample_at(self, groups: Groups, jobs: int, share: float) -> Sample:
        """Take a sample when this share of the jobs is settled."""
        settled = until(
            lambda: self._settled(jobs, share * jobs),
            f"{share:.0%} of the deliveries",
            PATIENCE_SECONDS,
            SAMPLE_SECONDS,
        )
        return sample(groups, settled)

    def _settled(self, jobs: int, least: float = 1) -> int:
        """Return the number of delivered jobs; 0 if it is below `least`."""
        self._farm.check_alive()
        left = read_depths(self._client)
        if left.retry or left.dead:
            raise RuntimeError(f"attempts fail ({left}):\n{self._farm.last_words()}")
        settled = jobs - read_depths(self._client).undelivered
        return settled if settled >= least else 0


def _rounds(pipeline: Pipeline, environment: Environment, jobs: int, count: int) -> list[dict[str, Figures]]:
    """Return the figures of each round by variant, without the first round, the warm-up."""
    rounds: list[dict[str, Figures]] = []
    with contextlib.ExitStack() as stack:
        api: Api | None = None
        for number in range(count + 1):
            measured: dict[str, Figures] = {}
            for variant in VARIANTS[:: -1 if number % 2 else 1]:
                if variant == "none":
                    stack.close()
                    api = None
                elif api is None:
                    api = stack.enter_context(running_api(environment.place / "api", environment.server))
                with watching(api) if api and variant == "watched" else contextlib.nullcontext():
                    measured[variant] = pipeline.deliver(jobs, api.process if api else None)
            rounds.append(measured)
    return rounds[1:]


def _alone(environment: Environment, seconds: float) -> Figures:
    """Return the CPU time of an API without requests, and its memory."""
    with running_api(environment.place / "api", environment.server) as api:
        time.sleep(SETTLE_SECONDS)
        before, began = cpu_time([api.process]).total, time.monotonic()
        time.sleep(seconds)
        used, elapsed = cpu_time([api.process]).total - before, time.monotonic() - began
        return {
            "cpu_seconds_per_hour": round(3600 * used / elapsed, 1),
            "share_of_a_core": round(used / elapsed, 5),
            "uss_mb": round(api.process.memory_full_info().uss / 1e6, 1),
        }


def _compared(rounds: Sequence[dict[str, Figures]], variant: str) -> Figures:
    """Return medians of the figures and of their ratios to `none`; `api_cores` is a mean."""
    found: Figures = {"api_cores": round(statistics.mean(each[variant]["api_cores"] for each in rounds), 4)}
    for figure in COMPARED:
        ratios = [each[variant][figure] / each["none"][figure] for each in rounds]
        low, median, high = statistics.quantiles(ratios, n=4, method="inclusive")
        found[figure] = {
            "median": round(statistics.median(each[variant][figure] for each in rounds), 1),
            "of_none": round(median, 4),
            "quartiles": [round(low, 4), round(high, 4)],
            "give_or_take": round(ERROR_OF_QUARTILES * (high - low) / math.sqrt(len(ratios)), 4),
        }
    return found


def _print(rounds: int, compared: dict[str, Figures]) -> None:
    header = ("the API", "per second", "of none (quartiles)", "CPU us each", "of none (quartiles)", "API's cores")
    rows = []
    for variant, found in compared.items():
        cells = [
            cell for figure in COMPARED for cell in (f"{found[figure]['median']:,.1f}", _ratio(found[figure]))
        ]
        rows.append((variant, *cells, f"{found['api_cores']:.4f}"))
    report.print_table(f"medians of {rounds} rounds", header, rows)


def _ratio(found: Figures) -> str:
    low, high = found["quartiles"]
    return f"{found['of_none']:.3f} ± {found['give_or_take']:.3f} ({low:.3f} to {high:.3f})"


if __name__ == "__main__":
    sys.exit(main())
