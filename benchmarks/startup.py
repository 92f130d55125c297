"""Time to readiness of a farm, and memory of its delivery processes.

    python benchmarks/startup.py [--workers 50,500] [--repeat 5] [--json FILE|-] [--insist]

1. Fork to ready: from the kernel's time of creation of the first delivery process to the keyspace notification of
   `webhook_delivery:ready`. The kernel rounds the time of creation down to 10 ms, so the result is up to 10 ms too
   high.
2. Memory of each delivery process (USS, PSS): when the farm is ready, and after 100 deliveries each.
3. Cold start: from the command `hookfarm start` (without a server, with an empty state directory, files in the
   page cache) to all three ready keys, polled every 2 ms. Uses the embedded server and a devchain.
4. Full pipeline: as 3, until the arrival of a verified webhook of a log that was emitted after readiness.

The quickest of several runs counts; the JSON contains all runs.
"""

import argparse
import contextlib
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import redis
from support import program, report, webhooks
from support.environment import directory, running_environment
from support.farm import Farm, FarmSettings, running_farm
from support.readying import fork_to_ready, weigh
from support.receivers import find_nginx, running_recorder
from support.waiting import until

from hookfarm.delivery_queue import read_depths
from hookfarm.devchain.embedded import RunningDevchain, running_devchain
from hookfarm.registry.store import new_secret
from hookfarm.store import keys
from hookfarm.store.clients import command_client
from hookfarm.store.embedded_server import StateDirectory

LOOK_SECONDS = 0.002
DELIVERIES_EACH = 100

Run = dict[str, Any]

QUICK = {"workers": "4", "repeat": 1}


def main() -> int:
    options = _options()
    counts = [int(count) for count in options.workers.split(",")]
    knobs = {"workers": options.workers, "repeat": options.repeat, "warm_up": "none; files in the page cache"}
    result: Run = {**program.begin("startup", options, knobs, find_nginx()), "fork_to_ready": {}}
    for count in counts:
        runs = [fork_to_ready(FarmSettings(count)) for _ in range(options.repeat)]
        result["fork_to_ready"][str(count)] = _best(f"{count} workers", runs, "first_fork_to_ready_seconds")
    result["memory"] = _memory(counts[0])
    report.print_numbers(f"memory of each of {counts[0]} delivery processes", result["memory"])
    for name, once, figure in (
        ("cold_start", _cold_start, "command_to_all_ready_seconds"),
        ("full_pipeline", _full_pipeline, "command_to_verified_webhook_seconds"),
    ):
        result[name] = _best(name.replace("_", " "), [once() for _ in range(options.repeat)], figure)
    program.finish(options, result)
    return 0


def _options() -> argparse.Namespace:
    parser = program.parser(__doc__, repeat=5)
    parser.add_argument("--workers", default="50,500", help="comma separated")
    return program.parse(parser, QUICK)


def _best(title: str, runs: Sequence[Run], figure: str) -> Run:
    best = min(runs, key=lambda run: float(run[figure]))
    report.print_numbers(f"{title}, best of {len(runs)}", best)
    spread = [run[figure] for run in runs]
    report.print_numbers("", {f"all {figure}": ", ".join(f"{value:.3f}" for value in spread)})
    return {"best": best, "median": statistics.median(spread), "runs": list(runs)}


# Memory


def _memory(workers: int) -> Run:
    with (
        running_environment() as environment,
        environment.delivery_farm(FarmSettings(workers)) as farm,
        environment.enqueuer() as enqueuer,
    ):
        ready = weigh(farm)
        enqueuer.enqueue(enqueuer.prepare(DELIVERIES_EACH * workers))
        until(
            lambda: not read_depths(environment.server.client).undelivered,
            "the delivery of all jobs",
            within_seconds=60,
        )
        return {"ready": ready, f"after_{DELIVERIES_EACH}_deliveries_each": weigh(farm)}


# Cold start, full pipeline


def _cold_start() -> Run:
    with directory() as place, running_devchain() as chain, _everything(place, chain) as (_, took):
        return took


def _full_pipeline() -> Run:
    """Measure a full pipeline. The endpoint is registered as soon as the server responds, while services start."""
    secret = new_secret()
    with directory() as place, running_devchain(logs_per_block=1) as chain:
        with running_recorder(secret, place / "recorder") as recorder:
            register = partial(webhooks.add_endpoint, url=recorder.url, secret=secret)
            with _everything(place, chain, register) as (began_ns, took):
                emitted_ns = time.time_ns()
                chain.mine()
                until(recorder.anything_came, "the webhook", every_seconds=LOOK_SECONDS)
                [arrived_ns] = recorder.arrivals().values()
        took["command_to_verified_webhook_seconds"] = round((arrived_ns - began_ns) / 1e9, 3)
        took["emitted_to_verified_webhook_seconds"] = round((arrived_ns - emitted_ns) / 1e9, 3)
        return took


@contextlib.contextmanager
def _everything(
    place: Path, chain: RunningDevchain, once_redis_answers: Callable[["redis.Redis"], object] = lambda _: None
) -> Iterator[tuple[int, Run]]:
    """Run a farm of all services; yield its start (Unix ns) and the durations to each ready key."""
    chains = f"{chain.chain_id}={chain.ws_url}"
    began_ns = time.time_ns()
    with (
        running_farm(place / "farm", "--chain", chains, "--api", "127.0.0.1:0") as farm,
        command_client(StateDirectory(place / "farm").redis_url) as client,
    ):
        until(lambda: _answers(client, farm), "the start of the embedded server", every_seconds=LOOK_SECONDS)
        took: Run = {"command_to_redis_seconds": _seconds_since(began_ns)}
        once_redis_answers(client)
        for service in keys.SERVICES:
            farm.until_ready(client, service, every_seconds=LOOK_SECONDS)
            took[f"command_to_{service}_ready_seconds"] = _seconds_since(began_ns)
        took["command_to_all_ready_seconds"] = _seconds_since(began_ns)
        yield began_ns, took


def _answers(client: "redis.Redis", farm: Farm) -> bool:
    farm.check_alive()
    with contextlib.suppress(redis.RedisError):
        return bool(client.ping())
    return False


def _seconds_since(began_ns: int) -> float:
    return round((time.time_ns() - began_ns) / 1e9, 3)


if __name__ == "__main__":
    sys.exit(main())
