"""Cost of many endpoints: time to readiness, time until a change takes effect, and memory.

    python benchmarks/endpoints.py [--endpoints 1000,30000,100000] [--processors 1] [--applied 10000]
                                   [--repeat 3] [--quick] [--insist] [--json FILE|-] [--save [DIR]]

Each endpoint has one subscription to transfers: a third by address, a third by a recipient in a condition, a third
by address and an amount in a condition.

1. Build: microseconds of CPU time from the JSON of a stored endpoint to its place in the index. Each kind is
   measured in its own process.
2. By number of endpoints, in a farm of all services with `--processors` processors and a running Redis:
   - time from the command `hookfarm start` to each ready key
   - CPU time of each processor until then, which a busy machine disturbs less
   - USS of each processor
   - time from a change of an endpoint to the job of an event that is published right after the change
   - time from the SIGKILL of all processors to the next job
3. Apply: `hookfarm apply` of a file of `--applied` new endpoints, and of the same file again.

The quickest of several runs counts; the JSON contains all runs. A change and a kill are measured in each run.
"""

import argparse
import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import orjson
import redis
from support import program, report
from support.environment import directory
from support.farm import Farm, running_farm
from support.redis_server import RedisServer, running_redis
from support.waiting import until

from hookfarm.devchain.embedded import running_devchain
from hookfarm.matching.index import Index
from hookfarm.message_processor.process import GC_THRESHOLD
from hookfarm.records import Endpoint, Subscription
from hookfarm.registry.store import Registry, decode, new_secret
from hookfarm.store import keys

CHAIN_ID = 77
"""Chain of the subscriptions; the devchain has another id."""
TRANSFER = "Transfer(address indexed from, address indexed to, uint256 value)"
TOPIC0 = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
BUILT = 20_000
BATCH = 1000
LOOK_SECONDS = 0.001
KINDS = ("address", "recipient", "address_and_amount")

Run = dict[str, Any]
QUICK = {"endpoints": "100", "processors": 1, "applied": 100, "repeat": 1}


def main() -> int:
    options = _options()
    knobs = {
        "endpoints": options.endpoints, "processors": options.processors, "applied": options.applied,
        "repeat": options.repeat, "warm_up": "none; files in the page cache",
    }  # fmt: skip
    result: Run = {**program.begin("endpoints", options, knobs), "build": {}, "farm": {}}
    for kind in KINDS:
        result["build"][kind] = _apart(kind)
        report.print_numbers(f"build, {kind.replace('_', ' ')}", result["build"][kind])
    for count in map(int, options.endpoints.split(",")):
        runs = [_farm(count, options.processors) for _ in range(options.repeat)]
        best = {name: min(run[name] for run in runs) for name in runs[0]}
        report.print_numbers(f"{count:,} endpoints, best of {len(runs)}", best)
        result["farm"][str(count)] = {"best": best, "runs": runs}
    result["apply"] = _apply(options.applied)
    report.print_numbers(f"apply of {options.applied:,} endpoints", result["apply"])
    program.finish(options, result)
    return 0


def _options() -> argparse.Namespace:
    parser = program.parser(__doc__, repeat=3)
    parser.add_argument("--endpoints", default="1000,30000,100000", help="comma separated")
    parser.add_argument("--processors", type=int, default=1)
    parser.add_argument("--applied", type=int, default=10_000)
    return program.parse(parser, QUICK)


# Endpoints


def _address(number: int) -> str:
    return f"0x{(number + 1) * 0x9E3779B97F4A7C15 % 2**160:040x}"


def _subscription(kind: str, number: int) -> Subscription:
    identity, address = f"sub_{number:024x}", _address(number)
    if kind == "recipient":
        return Subscription(identity, CHAIN_ID, event=TRANSFER, where=f"to == {address}")
    where = None if kind == "address" else f"value >= {number + 1}"
    return Subscription(identity, CHAIN_ID, (address,), TRANSFER, where=where)


def _endpoint(number: int, kind: str = "") -> Endpoint:
    wanted = (_subscription(kind or KINDS[number % len(KINDS)], number),)
    return Endpoint(
        f"ep_{number:024x}", f"https://hooks-{number}.example/", f"customer {number}", wanted,
        secrets=((new_secret(), None),),
    )  # fmt: skip


def _store(client: "redis.Redis", count: int) -> None:
    """Store endpoints like the registry, in batches."""
    now_us = int(time.time() * 1_000_000) - count
    for start in range(0, count, BATCH):
        batch = [_endpoint(number) for number in range(start, min(start + BATCH, count))]
        revisions: dict[Any, Any] = {each.id: now_us + start + n for n, each in enumerate(batch)}
        with client.pipeline(transaction=False) as pipe:
            pipe.hset(keys.ENDPOINTS, mapping={each.id: orjson.dumps(each.stored()) for each in batch})
            pipe.zadd(keys.REGISTRY_CREATED, revisions)
            pipe.zadd(keys.REGISTRY_CHANGES, revisions)
            pipe.set(keys.REGISTRY_REVISION, max(revisions.values()))
            pipe.execute()


# Build


def _apart(kind: str) -> Run:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_build, kind).result()


def _build(kind: str) -> Run:
    stored = [orjson.dumps(_endpoint(number, kind).stored()) for number in range(BUILT)]
    gc.set_threshold(GC_THRESHOLD)
    index, took = Index(), []
    for start in range(0, BUILT, BATCH):
        began = time.process_time_ns()
        for each in stored[start : start + BATCH]:
            assert index.put(decode(each)) == []
        took.append((time.process_time_ns() - began) / BATCH / 1000)
        gc.freeze()
    assert index.endpoints == BUILT
    whole, best = sum(took) / len(took), min(took)
    return {"us_per_subscription": round(whole, 1), "us_per_subscription_best_thousand": round(best, 1)}


# Farm


def _farm(count: int, processors: int) -> Run:
    with directory() as place, running_redis(place / "redis") as server, running_devchain() as chain:
        _store(server.client, count)
        chains = f"{chain.chain_id}={chain.ws_url}"
        options = (
            "--redis-url",
            server.url,
            "--chain",
            chains,
            "--processors",
            str(processors),
            "--api",
            "127.0.0.1:0",
        )
        began = time.monotonic()
        with running_farm(place / "farm", *options) as farm:
            took: Run = {}
            for service in keys.SERVICES:
                farm.until_ready(server.client, service, every_seconds=LOOK_SECONDS)
                took[f"command_to_{service}_ready_seconds"] = round(time.monotonic() - began, 3)
            took |= {"processor_cpu_seconds": _cpu_seconds(farm), **_uss(farm)}
            took["change_to_job_seconds"] = _change_to_job(server, count)
            took["kill_to_job_seconds"] = _kill_to_job(farm, server, count)
        return took


def _cpu_seconds(farm: Farm) -> float:
    """Return the highest CPU time of a processor, imports included."""
    times = [process.cpu_times() for process in farm.workers(keys.MESSAGE_PROCESSOR)]
    return round(max(each.user + each.system for each in times), 2)


def _uss(farm: Farm) -> Run:
    each = [process.memory_full_info().uss / 1e6 for process in farm.workers(keys.MESSAGE_PROCESSOR)]
    return {"processor_uss_min_mb": round(min(each), 1), "processor_uss_max_mb": round(max(each), 1)}


def _change_to_job(server: RedisServer, count: int) -> float:
    """Change the address of an endpoint in the middle and publish a log of that address; return the time."""
    number = count // 2
    changed = _endpoint(number)
    wanted = Subscription("sub_changed", CHAIN_ID, (_address(count + 1),), TRANSFER)
    began = time.monotonic()
    Registry(server.client).edit(changed.id, lambda known: _with(known, wanted))
    return _publish_and_wait(server, _address(count + 1), changed.id, began)


def _with(endpoint: Endpoint, wanted: Subscription) -> Endpoint:
    return Endpoint(endpoint.id, endpoint.url, endpoint.description, (wanted,), secrets=endpoint.secrets)


def _kill_to_job(farm: Farm, server: RedisServer, count: int) -> float:
    number = count // 3 // len(KINDS) * len(KINDS)
    began = time.monotonic()
    for process in farm.workers(keys.MESSAGE_PROCESSOR):
        os.kill(process.pid, signal.SIGKILL)
    return _publish_and_wait(server, _address(number), _endpoint(number).id, began)


def _publish_and_wait(server: RedisServer, address: str, endpoint: str, began: float) -> float:
    event = orjson.dumps(_log(address))
    server.client.xadd(keys.events(CHAIN_ID), {keys.EVENT_FIELD: event})
    until(lambda: _is_enqueued(server.client, endpoint), "the job", every_seconds=LOOK_SECONDS)
    return round(time.monotonic() - began, 3)


def _is_enqueued(client: "redis.Redis", endpoint: str) -> bool:
    """Return whether the endpoint has a job, in any state: its receiver does not exist, so the job is retried."""
    return any(endpoint.encode() in job for job in client.hvals(keys.JOBS))


def _log(address: str) -> dict[str, Any]:
    word = f"0x{7:064x}"
    return {
        "chain_id": CHAIN_ID, "block_number": 1, "block_hash": f"0x{int(address, 16):064x}",
        "block_timestamp": 1_795_370_400, "transaction_hash": word, "transaction_index": 0, "log_index": 0,
        "address": address, "topics": [TOPIC0, word, word], "data": f"0x{2**200:064x}", "removed": False,
    }  # fmt: skip


# Apply


def _apply(count: int) -> Run:
    with directory() as place, running_redis(place / "redis") as server:
        file = place / "endpoints.json"
        listed = [{**_endpoint(number).public(), "id": None} for number in range(count)]
        for each in listed:
            del each["id"], each["disabled_reason"]
        file.write_bytes(orjson.dumps({"endpoints": listed}))
        first, again = (_run_apply(server, file) for _ in range(2))
        assert server.client.hlen(keys.ENDPOINTS) == count
        began = time.monotonic()
        listed_ids = _command(server, "endpoints", "list", "--json")
        assert listed_ids
        return {
            "new_seconds": first, "unchanged_seconds": again, "list_seconds": round(time.monotonic() - began, 3)
        }  # fmt: skip


def _run_apply(server: RedisServer, file: Path) -> float:
    began = time.monotonic()
    _command(server, "apply", str(file), "--yes")
    return round(time.monotonic() - began, 3)


def _command(server: RedisServer, *words: str) -> bytes:
    command: Sequence[str] = (sys.executable, "-P", "-m", "hookfarm", *words, "--redis-url", server.url)
    return subprocess.run(command, capture_output=True, check=True).stdout


if __name__ == "__main__":
    sys.exit(main())
