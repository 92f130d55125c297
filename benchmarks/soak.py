"""Growth of a farm's memory, descriptors and latency over time.

    python benchmarks/soak.py [--short] [--minutes 60] [--every 10] [--rate 200] [--healthy 20] [--failing 3]
        [--workers 50] [--concurrency N] [--quick] [--insist] [--json FILE|-] [--save [DIR]]

Healthy endpoints get `--rate` webhooks a second; failing endpoints, which respond 500, get one each per interval.
A sample of the farm is taken at the end of each interval of `--every` seconds. Latency is measured from just
before a batch is enqueued to its arrival at a receiver that verifies each signature.

Slopes are least squares over all intervals except the first tenth, per hour and as a share of the mean. The
delivery log in Redis grows until its limits; the slopes of the processes and of latency should be zero.

`--short` runs for three minutes.
"""

import argparse
import contextlib
import statistics
import sys
import time
from collections.abc import Iterator, Sequence

import psutil
from support import plot, program, report
from support.environment import Environment, running_environment
from support.farm import Farm
from support.limits import Figures, ratio
from support.receivers import running_recorder
from support.waiting import until
from support.webhooks import Enqueuer, add_endpoint, pace

from hookfarm.records import Endpoint
from hookfarm.registry.store import new_secret

SHORT_MINUTES, SHORT_EVERY = 3.0, 2.0
WARM_UP_SHARE = 0.1
WARM_UP_SECONDS = 2.0
LATE_SECONDS = 30.0
FIGURES = {
    "worker_uss_mb": "MB of a worker (USS, mean)",
    "worker_uss_max_mb": "MB of the largest worker",
    "master_uss_mb": "MB of master and keeper",
    "redis_mb": "MB of data in Redis",
    "descriptors": "descriptors of the farm",
    "p50_ms": "p50, ms",
    "p99_ms": "p99, ms",
}
QUICK = {"minutes": 0.1, "every": 1.0, "rate": 50.0, "healthy": 3, "failing": 1, "workers": 4}

Handed = list[dict[str, int]]
"""Per interval: webhook-id -> time just before it was enqueued (Unix time in ns)."""


def main() -> int:
    options = _options()
    shown = {"warm_up": f"{WARM_UP_SECONDS:g} s, and the first {WARM_UP_SHARE:.0%} of the intervals"}
    result = program.begin("soak", options, program.knobs(options) | shown)
    samples = _soak(options)
    slopes = {name: _slope(samples, name) for name in FIGURES}
    rows = [_row(FIGURES[name], slope) for name, slope in slopes.items()]
    report.print_table(f"{len(samples)} intervals", ("", "first", "last", "slope an hour", "of the mean"), rows)
    program.finish(options, {**result, "slopes": slopes, "samples": samples}, *_charts(samples))
    return 0


def _options() -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument("--short", action="store_true", help=f"{SHORT_MINUTES:g} minutes")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--every", type=float, default=10.0, help="seconds per interval")
    parser.add_argument("--rate", type=float, default=200.0, help="healthy webhooks a second")
    parser.add_argument("--healthy", type=int, default=20, help="healthy endpoints")
    parser.add_argument("--failing", type=int, default=3, help="failing endpoints")
    program.add_farm(parser)
    options = program.parse(parser, QUICK)
    if options.short:
        options.minutes, options.every = SHORT_MINUTES, SHORT_EVERY
    return options


def _soak(options: argparse.Namespace) -> list[Figures]:
    """Return one sample per interval."""
    with (
        running_environment() as environment,
        _failing_enqueuer(environment, options.failing) as failing,
        environment.delivery_farm(program.farm_settings(options)) as farm,
    ):
        healthy = Enqueuer(environment.server.url, *_healthy(environment, options.healthy))
        pace(healthy, healthy.prepare(int(WARM_UP_SECONDS * options.rate)), options.rate)
        samples, handed = _intervals(options, environment, farm, healthy, failing)
        healthy.close()
        wanted = sum(map(len, handed))
        until(lambda: environment.recorder.requests() >= wanted, "the last webhook", LATE_SECONDS)
        came = environment.recorder.arrivals()
    return [{**sample, **_latency(each, came)} for sample, each in zip(samples, handed, strict=True)]


@contextlib.contextmanager
def _failing_enqueuer(environment: Environment, count: int) -> Iterator[Enqueuer]:
    """Yield an enqueuer for endpoints that respond 500."""
    secret = new_secret()
    with running_recorder(secret, environment.place / "failing", status=500) as receiver:
        urls = [f"{receiver.url}/{number}" for number in range(max(1, count))]
        enqueuer = Enqueuer(
            environment.server.url, *(add_endpoint(environment.server.client, url, secret) for url in urls)
        )
        yield enqueuer
        enqueuer.close()


def _healthy(environment: Environment, count: int) -> list[Endpoint]:
    [(secret, _)] = environment.endpoint.secrets
    url = environment.receiver.url
    return [add_endpoint(environment.server.client, f"{url}/{number}", secret) for number in range(count)]


def _intervals(
    options: argparse.Namespace, environment: Environment, farm: Farm, healthy: Enqueuer, failing: Enqueuer
) -> tuple[list[Figures], Handed]:
    samples: list[Figures] = []
    handed: Handed = []
    began = time.monotonic()
    while time.monotonic() < began + 60 * options.minutes:
        farm.check_alive()
        failing.enqueue(failing.prepare(options.failing))
        handed.append(pace(healthy, healthy.prepare(int(options.rate * options.every)), options.rate))
        samples.append({"minutes": round((time.monotonic() - began) / 60, 3), **_weigh(environment, farm)})
    return samples, handed


def _weigh(environment: Environment, farm: Farm) -> Figures:
    workers = farm.workers()
    others = [process for process in farm.processes() if process not in workers]
    sizes = [_uss_mb(process) for process in workers]
    return {
        "worker_uss_mb": round(statistics.mean(sizes), 3),
        "worker_uss_max_mb": round(max(sizes), 3),
        "master_uss_mb": round(sum(map(_uss_mb, others)), 3),
        "redis_mb": round(environment.server.client.info("memory")["used_memory"] / 1e6, 3),
        "descriptors": sum(process.num_fds() for process in (*workers, *others)),
    }


def _uss_mb(process: psutil.Process) -> float:
    return float(process.memory_full_info().uss) / 1e6


def _latency(handed: dict[str, int], came: dict[str, int]) -> dict[str, float]:
    waited = [(came[webhook_id] - at) / 1e6 for webhook_id, at in handed.items()]
    return report.quantiles(waited, {"p50_ms": 0.5, "p99_ms": 0.99})


def _slope(samples: Sequence[Figures], name: str) -> dict[str, float]:
    counted = samples[int(WARM_UP_SHARE * len(samples)) :]
    hours, values = [each["minutes"] / 60 for each in counted], [float(each[name]) for each in counted]
    slope = statistics.linear_regression(hours, values).slope if len(counted) > 1 else 0.0
    share = round(ratio(slope, statistics.mean(values)), 4)
    return {"first": values[0], "last": values[-1], "an_hour": round(slope, 4), "of_the_mean": share}


def _row(name: str, slope: dict[str, float]) -> tuple[str, ...]:
    first, last, an_hour = (f"{slope[part]:,.2f}" for part in ("first", "last", "an_hour"))
    return (name, first, last, an_hour, f"{slope['of_the_mean']:+.1%}")


def _charts(samples: Sequence[Figures]) -> list[plot.Chart]:
    def line(name: str) -> list[tuple[float, float]]:
        return [(each["minutes"], float(each[name])) for each in samples]

    titles = {
        "memory, MB": ("worker_uss_mb", "worker_uss_max_mb", "master_uss_mb"),
        "descriptors of the farm": ("descriptors",),
        "hand-off to arrival, ms": ("p50_ms", "p99_ms"),
    }
    return [
        plot.lines(title, "min", {FIGURES[name]: line(name) for name in names}) for title, names in titles.items()
    ]


if __name__ == "__main__":
    sys.exit(main())
