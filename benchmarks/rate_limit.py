"""Exactness of `rate_limit_per_second`.

    python benchmarks/rate_limit.py [--rates 20,200] [--seconds 17] [--workers 10] [--json FILE|-] [--insist]

Each endpoint has a backlog and a receiver that records arrivals. Webhooks are counted in each window of 10 s
between the first and the last arrival. `fewest` and `most` are shares of the number that the rate allows in 10
s. All rates run at the same time.

Exit code 1 if one differs by more than 10 %, which also happens on a slow or busy machine.
"""

import argparse
import contextlib
import sys
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import replace

from support import program, report
from support.environment import directory
from support.farm import FarmSettings, delivery_farm
from support.limits import Figures
from support.receivers import Recorder, running_recorder
from support.redis_server import running_redis
from support.waiting import until
from support.webhooks import Enqueuer, add_endpoint

from hookfarm.records import Endpoint
from hookfarm.registry.store import Registry, new_secret

WINDOW_SECONDS = 10.0
TOLERANCE = 0.1
SPARE = 1.5
"""Queued jobs as a multiple of the jobs due in the measured time, so that the backlog never runs out."""

QUICK = {"seconds": 11.0, "workers": 4}


def main() -> int:
    options = _options()
    result = program.begin("rate_limit", options, program.knobs(options))
    rates = {f"{rate}_per_second": figures for rate, figures in _measure(options).items()}
    for name, figures in rates.items():
        report.print_numbers(f"shares of the rate over any {WINDOW_SECONDS:g} s, {name}", figures)
    program.finish(options, {**result, "rates": rates})
    is_exact = all(
        figures["fewest"] >= 1 - TOLERANCE and figures["most"] <= 1 + TOLERANCE for figures in rates.values()
    )
    return program.status(options, is_exact)


def _options() -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument("--rates", type=_numbers, default=[20, 200], help="per second, separated by commas")
    parser.add_argument("--seconds", type=float, default=17, help="from the first arrival to the last")
    parser.add_argument("--workers", type=int, default=10)
    options = program.parse(parser, QUICK)
    if options.seconds <= WINDOW_SECONDS:
        parser.error(f"--seconds: must be more than {WINDOW_SECONDS:g}, not {options.seconds:g}")
    return options


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _measure(options: argparse.Namespace) -> dict[int, Figures]:
    secret = new_secret()
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(directory())
        server = stack.enter_context(running_redis(place / "redis"))
        recorders: dict[int, Recorder] = {}
        for rate in options.rates:
            recorders[rate] = stack.enter_context(running_recorder(secret, place / f"recorder-{rate}"))
            endpoint = add_endpoint(server.client, recorders[rate].url, secret)
            limited = replace(endpoint, rate_limit_per_second=rate)
            Registry(server.client).update(limited)
            _fill(server.url, limited, int(SPARE * rate * options.seconds))
        farm = stack.enter_context(delivery_farm(place, server, FarmSettings(options.workers)))

        def is_over() -> bool:
            farm.check_alive()
            return all(recorder.requests() >= rate * options.seconds for rate, recorder in recorders.items())

        until(is_over, "the last arrival", within_seconds=10 * options.seconds)
        return {rate: _shares(rate, recorder.arrivals()) for rate, recorder in recorders.items()}


def _fill(url: str, endpoint: Endpoint, jobs: int) -> None:
    enqueuer = Enqueuer(url, endpoint)
    enqueuer.enqueue(enqueuer.prepare(jobs))
    enqueuer.close()


def _shares(rate: int, arrivals: dict[str, int]) -> Figures:
    came = sorted(at / 1e9 for at in arrivals.values())
    fewest, most = _fewest_and_most(came)
    due = rate * WINDOW_SECONDS
    return {"fewest": round(fewest / due, 4), "most": round(most / due, 4), "webhooks": len(came)}


def _fewest_and_most(came: Sequence[float]) -> tuple[int, int]:
    """Return the fewest and most arrivals in any WINDOW_SECONDS; `came` contains ascending times."""
    starts = [at for at in came if at + WINDOW_SECONDS <= came[-1]]
    most = max(bisect_right(came, at + WINDOW_SECONDS) - bisect_left(came, at) for at in starts)
    fewest = min(bisect_left(came, at + WINDOW_SECONDS) - bisect_right(came, at) for at in starts)
    return fewest, most


if __name__ == "__main__":
    sys.exit(main())
