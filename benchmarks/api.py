"""How long the API takes to answer its lists when there is much on record.

    python benchmarks/api.py [--endpoints 100000] [--deliveries 1000000] [--rounds 60] [--json FILE|-] [--insist]

The record is written straight into Redis: endpoints, one delivered delivery after the other among a tenth of
them, a fiftieth of that many dead letters and as many retries. Then each route is asked `--rounds` times in turn
over one connection, after five rounds of warm-up: milliseconds from the request to the last byte of the answer.
"""

import argparse
import http.client
import re
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import redis
from support import conditions, report
from support.processes import running
from support.redis_server import running_redis
from support.stage import directory, end_on_sigterm
from support.waiting import until

from hookfarm import keys, place_index
from hookfarm.jobs import Job, encode
from hookfarm.place_index import Choice
from hookfarm.records import Endpoint

TOKEN = "benchmark-benchmark"
WARM_UP = 5
AT_ONCE = 2000
REASONS = ("exhausted", "endpoint_gone", "worker_lost")
BODY = b'{"type":"log.emitted","data":{}}'

Figures = dict[str, Any]


def main() -> int:
    options = _options()
    end_on_sigterm()
    found = conditions.observe(nginx=None)
    knobs = {"endpoints": options.endpoints, "deliveries": options.deliveries, "rounds": options.rounds}
    knobs |= {"warm_up": f"{WARM_UP} rounds"}
    report.print_conditions(found, knobs)
    if options.insist and not found.quiet:
        return 1
    with directory() as place, running_redis(place / "redis") as server:
        names = [f"ep_{number:024x}" for number in range(options.endpoints)]
        _fill(server.client, names, options.deliveries)
        command = [sys.executable, "-m", "hookfarm", "start", "api", "--api", "127.0.0.1:0"]
        command += ["--redis-url", server.url, "--state-dir", str(place / "state")]
        said = place / "api.out"
        with running([*_environment(), *command], said):
            until(lambda: _port(said) > 0, "the API being up")
            figures = _measure(_port(said), names, options.rounds)
    rows = [
        (path, *(f"{numbers[name]:.1f}" for name in ("p50", "p99", "max"))) for path, numbers in figures.items()
    ]
    report.print_table("milliseconds", ("route", "p50", "p99", "max"), rows)
    result = {"benchmark": "api", "conditions": found.as_json(), "knobs": knobs, "milliseconds": figures}
    report.write_json(options.json, result)
    return 0


def _environment() -> list[str]:
    return ["env", f"HOOKFARM_API_TOKEN={TOKEN}"]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The API's lists, with much on record.")
    parser.add_argument("--endpoints", type=int, default=100_000)
    parser.add_argument("--deliveries", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--json", metavar="FILE", help="the result as JSON; - is stdout")
    parser.add_argument("--insist", action="store_true", help="end where the machine is busy")
    return parser.parse_args()


def _port(said: Path) -> int:
    """0 = it has not said so far."""
    found = re.search(r"api    http://127\.0\.0\.1:(\d+)", said.read_text() if said.exists() else "")
    return int(found[1]) if found else 0


def _batches(count: int) -> Iterator[range]:
    return (range(start, min(start + AT_ONCE, count)) for start in range(0, count, AT_ONCE))


def _fill(client: "redis.Redis", names: Sequence[str], deliveries: int) -> None:
    now_us = int(time.time() * 1_000_000)
    for batch in _batches(len(names)):
        stored: dict[Any, Any] = {
            names[i]: orjson.dumps(Endpoint(names[i], f"https://hooks-{i}.example/").stored()) for i in batch
        }
        client.hset(keys.ENDPOINTS, mapping=stored)
        client.zadd(keys.REGISTRY_CREATED, {names[i]: now_us - len(names) + i for i in batch})
    busy = names[: max(1, len(names) // 10)]
    for batch in _batches(deliveries):
        _deliver(client, batch, busy)
    for batch in _batches(deliveries // 50):
        _give_up(client, batch, busy, now_us // 1000)
    place_index.dead(client, Choice(endpoint=busy[0]), None, 1)
    place_index.retry(client, busy[0], None, 1)


def _deliver(client: "redis.Redis", numbers: range, endpoints: Sequence[str]) -> None:
    records: dict[Any, Any] = {}
    with client.pipeline(transaction=False) as pipe:
        for number in numbers:
            name, endpoint = f"msg_{number:040x}", endpoints[number % len(endpoints)]
            status = "503" if number % 100 == 0 else "200"
            outcome = {"at": 1.0, "took_ms": 12, "status": int(status), "detail": "ok"}
            header = {"done": 1, "outcome": outcome, "id": name, "endpoint": endpoint, "attempt": 1}
            records[name] = encode(header, BODY)
            pipe.xadd(keys.ATTEMPTS + endpoint, {"d": name, "n": 1, "s": status, "t": 12})
            pipe.xadd(keys.RECENT, {"a": f"{endpoint} {name} 1 {status} 12"})
        pipe.hset(keys.DELIVERED, mapping=records)
        pipe.execute()


def _give_up(client: "redis.Redis", numbers: range, endpoints: Sequence[str], now_ms: int) -> None:
    dead: dict[Any, Any] = {}
    retry: dict[Any, Any] = {}
    for number in numbers:
        endpoint = endpoints[number % len(endpoints)]
        header = {"endpoint": endpoint, "attempt": 2, "reason": REASONS[number % len(REASONS)]}
        dead[f"dead_{number:040x}"] = encode({"id": f"dead_{number:040x}", **header}, BODY)
        retry[f"retry_{number:040x}"] = Job(f"retry_{number:040x}", endpoint, BODY).encoded()
    client.hset(keys.JOBS, mapping={**dead, **retry})
    client.zadd(keys.DEAD, {name: now_ms - i for i, name in enumerate(dead)})
    client.zadd(keys.RETRY, {name: now_ms + 3_600_000 + i for i, name in enumerate(retry)})


def _measure(port: int, names: Sequence[str], rounds: int) -> dict[str, Figures]:
    one = names[0]
    paths = [
        *("/v1/endpoints", "/v1/endpoints?limit=200", f"/v1/endpoints?q={names[-700][-8:]}"),
        *("/v1/endpoints?q=nothing", "/v1/endpoints?enabled=false", "/v1/endpoints?circuit=open"),
        *(f"/v1/endpoints/{one}", "/v1/deliveries", "/v1/deliveries?limit=200", f"/v1/deliveries?endpoint={one}"),
        *("/v1/deliveries?status=failed", "/v1/deliveries?status=timeout", "/v1/deliveries?status=dead"),
        *("/v1/deliveries?status=retry", f"/v1/deliveries?status=retry&endpoint={one}"),
        *("/v1/dead-letters", f"/v1/dead-letters?endpoint={one}", "/v1/dead-letters?reason=worker_lost"),
        *(f"/v1/dead-letters?endpoint={one}&reason=exhausted", "/v1/chains", "/v1/stats"),
    ]
    took: dict[str, list[float]] = {path: [] for path in paths}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for _ in range(WARM_UP + rounds):
        for path in paths:
            began = time.perf_counter()
            connection.request("GET", path, headers={"Authorization": f"Bearer {TOKEN}"})
            answer = connection.getresponse()
            body = answer.read()
            took[path].append((time.perf_counter() - began) * 1000)
            if answer.status != 200:
                raise RuntimeError(f"{path}: {answer.status} {body[:200]!r}")
    connection.close()
    shares = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return {
        path: {name: report.quantile(values[WARM_UP:], share) for name, share in shares.items()}
        for path, values in took.items()
    }


if __name__ == "__main__":
    sys.exit(main())
