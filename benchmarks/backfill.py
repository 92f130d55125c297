"""Effect of a backfill on live webhooks of other endpoints, and its speed without live webhooks.

    python benchmarks/backfill.py [--workers 50] [--live 20] [--rate 200] [--seconds 5] [--past 60000]
        [--answer 0.02] [--insist] [--json FILE|-]

Phases, each with its own servers and farm:

    alone     only live webhooks, `--rate` a second, for `--live` endpoints: the baseline
    lane      beside `--past` jobs in the backfill queue of one more endpoint; it responds after `--answer` seconds
    queue     beside as many jobs of that endpoint in the delivery queue: the effect without a backfill queue
    idle      only the jobs in the backfill queue: the speed of a backfill in an idle farm

Latency is measured from just before a live job is enqueued to the arrival of its webhook. The first two seconds of
a phase are not counted.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from support import program, report
from support.environment import directory
from support.farm import FarmSettings, delivery_farm
from support.limits import Figures
from support.receivers import Recorder, running_recorder
from support.redis_server import RedisServer, running_redis
from support.waiting import until
from support.webhooks import CHAIN_ID, Enqueuer, Prepared, add_endpoint, pace

from hookfarm.backfill import job_queue, state
from hookfarm.backfill.job_queue import BackfillJob, Batch, MatchedLog
from hookfarm.event_stream import Checkpoint
from hookfarm.records import Endpoint
from hookfarm.registry.store import new_secret
from hookfarm.store.clients import async_client

ALONE, LANE, QUEUE, IDLE = "alone", "lane", "queue", "idle"
PHASES = (ALONE, LANE, QUEUE, IDLE)
WARM_UP_SECONDS = 2.0
PIECE_JOBS = 1_000
LATE_SECONDS = 20.0


@dataclass(frozen=True)
class BackfillEnvironment:
    """Live endpoints and the endpoint with the backfill, each kind with a recorder."""

    server: RedisServer
    live_receiver: Recorder
    past_receiver: Recorder
    live: tuple[Endpoint, ...]
    past: Endpoint


QUICK = {"workers": 8, "live": 5, "rate": 50.0, "seconds": 1.0, "past": 1000}


def main() -> int:
    options = _options()
    result = program.begin("backfill", options, program.knobs(options))
    phases = []
    for name in PHASES:
        phases.append({"phase": name, **_phase(name, options)})
        report.print_numbers(name, phases[-1])
    _print_table(phases)
    program.finish(options, {**result, "phases": phases})
    return 0


def _options() -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument("--workers", type=int, default=50)
    parser.add_argument("--live", type=int, default=20, help="number of live endpoints")
    parser.add_argument("--rate", type=float, default=200.0, help="live webhooks a second")
    parser.add_argument("--seconds", type=float, default=5.0, help="measured, per phase")
    parser.add_argument("--past", type=int, default=60_000, help="jobs of the backfill")
    parser.add_argument("--answer", type=float, default=0.02, help="response time of its receiver in seconds")
    return program.parse(parser, QUICK)


def _phase(name: str, options: argparse.Namespace) -> Figures:
    with _environment(options) as environment, directory() as place:
        past = Enqueuer(environment.server.url, environment.past)
        prepared = past.prepare(0 if name == ALONE else options.past)
        if name == QUEUE:
            past.enqueue(prepared)
        else:
            asyncio.run(_fill_backfill_queue(environment, prepared))
        past.close()
        live = Enqueuer(environment.server.url, *environment.live)
        paced = live.prepare(int(options.rate * (WARM_UP_SECONDS + options.seconds)) if name != IDLE else 0)
        until(environment.server.settled, "the rewrite of the append-only file", within_seconds=60)
        with delivery_farm(place, environment.server, FarmSettings(options.workers)):
            time.sleep(WARM_UP_SECONDS)
            figures = _measured(environment, live, paced, options)
        live.close()
    return figures


def _measured(
    environment: BackfillEnvironment, live: Enqueuer, paced: Sequence[Prepared], options: argparse.Namespace
) -> Figures:
    began, before = time.monotonic(), environment.past_receiver.load()
    if paced:
        handed = pace(live, paced, options.rate)
    else:
        handed = {}
        time.sleep(options.seconds)
    elapsed, after = time.monotonic() - began, environment.past_receiver.load()
    figures: Figures = {
        "past_per_second": round((after.requests - before.requests) / elapsed, 1),
        "workers_at_the_past": round((after.in_flight_seconds - before.in_flight_seconds) / elapsed, 1),
        "past_delivered": after.requests,
    }
    return {**figures, **_latency(environment, handed)} if handed else figures


def _latency(environment: BackfillEnvironment, handed: dict[str, int]) -> Figures:
    gives_up = time.monotonic() + LATE_SECONDS
    while environment.live_receiver.requests() < len(handed) and time.monotonic() < gives_up:
        time.sleep(0.02)
    ended = time.time_ns()
    came = environment.live_receiver.arrivals()
    counted_from = min(handed.values()) + WARM_UP_SECONDS * 1e9
    waited = [(came.get(each, ended) - at) / 1e6 for each, at in handed.items() if at > counted_from]
    shown = report.quantiles(waited, {"p50_ms": 0.5, "p99_ms": 0.99, "max_ms": 1.0})
    return {**shown, "counted": len(waited), "never_came": len(handed.keys() - came.keys())}


@contextmanager
def _environment(options: argparse.Namespace) -> Iterator[BackfillEnvironment]:
    secret = new_secret()
    with ExitStack() as stack:
        place = stack.enter_context(directory())
        server = stack.enter_context(running_redis(place / "redis"))
        live = stack.enter_context(running_recorder(secret, place / "live"))
        past = stack.enter_context(running_recorder(secret, place / "past", after_seconds=options.answer))
        endpoints = tuple(add_endpoint(server.client, f"{live.url}/{n}", secret) for n in range(options.live))
        yield BackfillEnvironment(server, live, past, endpoints, add_endpoint(server.client, past.url, secret))


async def _fill_backfill_queue(environment: BackfillEnvironment, prepared: Sequence[Prepared]) -> None:
    """Submit jobs to the backfill queue in batches, like a backfill."""
    endpoint = environment.past.id
    name = f"{endpoint}:{CHAIN_ID}:1::"
    facts: dict[str, str | int] = {"endpoint": endpoint, "chain_id": CHAIN_ID, "subscription": ""}
    span = {"from_block": 1, "to_block": len(prepared)}
    state.start(environment.server.client, name, {**facts, **span})
    position_before = None
    async with async_client(environment.server.url) as client:
        for start in range(0, len(prepared), PIECE_JOBS):
            wanted = [MatchedLog((BackfillJob(job),)) for _, job in prepared[start : start + PIECE_JOBS]]
            position = Checkpoint(start + len(wanted), "0x")
            piece = Batch(position_before, position, len(wanted), len(wanted), wanted)
            handed = await job_queue.submit(client, name, endpoint, CHAIN_ID, piece)
            assert handed == ("done", len(wanted)), handed
            position_before = position


def _print_table(phases: Sequence[Figures]) -> None:
    header = ("", "live p50 ms", "p99 ms", "max ms", "past/s", "workers at it")
    rows = []
    for phase in phases:
        delays = ("-" if name not in phase else f"{phase[name]:.1f}" for name in ("p50_ms", "p99_ms", "max_ms"))
        past = (f"{phase['past_per_second']:,.0f}", f"{phase['workers_at_the_past']:g}")
        rows.append((phase["phase"], *delays, *past))
    report.print_table("phases, as they were run", header, rows)


if __name__ == "__main__":
    sys.exit(main())
