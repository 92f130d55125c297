"""Response times of the API's lists with a large delivery log.

    python benchmarks/api.py [--endpoints 100000] [--deliveries 1000000] [--rounds 200] [--json FILE|-] [--insist]

The record (support/record.py) is written directly to Redis. Then each route is requested `--rounds` times in turn
over one connection, after five rounds of warm-up. Figures are milliseconds from the request to the last byte of
the response, and the API's CPU time. Other load of the machine disturbs CPU time less.

Exit code 1 if the p99 of a list is over 50 ms.
"""

import argparse
import http.client
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from support import program, record, report
from support.environment import directory
from support.farm import TITLE, title
from support.limits import Figures
from support.processes import family, running
from support.redis_server import running_redis
from support.waiting import until

TOKEN = "benchmark-benchmark"
WARM_UP = 5
MOST_MS = 50.0
"""Limit of the p99 of each list."""

FIGURES = {"p50": 0.5, "p99": 0.99, "max": 1.0}

QUICK = {"endpoints": 500, "deliveries": 2000, "rounds": 10}


def main() -> int:
    options = _options()
    result = program.begin("api", options, {**program.knobs(options), "warm_up": f"{WARM_UP} rounds"})
    with directory() as place, running_redis(place / "redis") as server:
        busy = record.fill(server.client, options.endpoints, options.deliveries)
        command = [sys.executable, "-m", "hookfarm", "start", "api", "--api", "127.0.0.1:0"]
        command += ["--redis-url", server.url, "--state-dir", str(place / "state")]
        said = place / "api.out"
        with running([*_environment(), *command], said) as master:
            until(lambda: _port(said) > 0, "the start of the API")
            [api] = [one for one in family(master.pid) if title(one).startswith(f"{TITLE}api ")]
            figures = _measure(_port(said), api.pid, busy, options.rounds)
    rows = [(path, *(f"{value:.1f}" for value in numbers.values())) for path, numbers in figures.items()]
    report.print_table("milliseconds", ("route", *FIGURES, "CPU p50"), rows)
    program.finish(options, {**result, "milliseconds": figures})
    slow = [path for path, numbers in figures.items() if numbers["p99"] > MOST_MS]
    if slow:
        print(f"over {MOST_MS:g} ms: {', '.join(slow)}", file=sys.stderr)
    return program.status(options, not slow)


def _environment() -> list[str]:
    return ["env", f"HOOKFARM_API_TOKEN={TOKEN}"]


def _options() -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument("--endpoints", type=int, default=100_000)
    parser.add_argument("--deliveries", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=200)
    return program.parse(parser, QUICK)


def _port(said: Path) -> int:
    """Return the port that the API has logged; 0 = none yet."""
    found = re.search(r"api    http://127\.0\.0\.1:(\d+)", said.read_text() if said.exists() else "")
    return int(found[1]) if found else 0


def _cpu_ms(pid: int) -> float:
    """Return the CPU time of a process."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e6


def _measure(port: int, pid: int, busy: Sequence[str], rounds: int) -> dict[str, Figures]:
    one = busy[0]
    paths = [
        *("/v1/endpoints", "/v1/endpoints?limit=200", f"/v1/endpoints?q={busy[min(700, len(busy) - 1)][-8:]}"),
        *("/v1/endpoints?q=nothing", "/v1/endpoints?enabled=false", "/v1/endpoints?circuit=open"),
        *(f"/v1/endpoints/{one}", "/v1/deliveries", "/v1/deliveries?limit=200", f"/v1/deliveries?endpoint={one}"),
        *("/v1/deliveries?status=failed", "/v1/deliveries?status=timeout", "/v1/deliveries?status=dead"),
        *("/v1/deliveries?status=retry", f"/v1/deliveries?status=retry&endpoint={one}"),
        *("/v1/dead-letters", f"/v1/dead-letters?endpoint={one}", "/v1/dead-letters?reason=worker_lost"),
        *(f"/v1/dead-letters?endpoint={one}&reason=exhausted", "/v1/chains", "/v1/stats"),
    ]
    took: dict[str, list[float]] = {path: [] for path in paths}
    used: dict[str, list[float]] = {path: [] for path in paths}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for _ in range(WARM_UP + rounds):
        for path in paths:
            used_before, began = _cpu_ms(pid), time.perf_counter()
            connection.request("GET", path, headers={"Authorization": f"Bearer {TOKEN}"})
            answer = connection.getresponse()
            body = answer.read()
            took[path].append((time.perf_counter() - began) * 1000)
            used[path].append(_cpu_ms(pid) - used_before)
            if answer.status != 200:
                raise RuntimeError(f"{path}: {answer.status} {body[:200]!r}")
    connection.close()
    return {
        path: {
            **{name: report.quantile(values[WARM_UP:], share) for name, share in FIGURES.items()},
            "cpu_p50": report.quantile(used[path][WARM_UP:], 0.5),
        }
        for path, values in took.items()
    }


if __name__ == "__main__":
    sys.exit(main())
