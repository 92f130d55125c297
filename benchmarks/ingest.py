"""Speed from a node's answers to jobs in the delivery queue, with and without proofs of completeness.

    python benchmarks/ingest.py [--blocks 500] [--logs 200] [--subscriptions 1000] [--repeat 3]
                                [--scenarios whole,ingestor,tip,fast] [--chains 10] [--per-second 4]
                                [--fast-logs 2000] [--seconds 20] [--ingestors N] [--base PATH]
                                [--json FILE|-] [--insist]

1. The whole: `hookfarm start` with ingestor and processor catches up from the first block; 1 of 100 events is
   wanted. Figures are events per second from the node's answer to the delivery queue (between 10 % and 90 % of the
   jobs), and each process's CPU time per event.
2. The ingestor alone: from the first block to the head in ranges, from the node's answer to the entry in Redis.
3. The ingestor at the tip: block by block, each requested by its hash and published before the next. Figures are
   seconds from the head to the checkpoint, the remembered blocks' memory in Redis, and the duration of their
   rollback.
4. Fast chains: a farm of ingestors at the tip of `--chains` chains with `--per-second` blocks a second, for
   `--seconds`; the first chain has `--fast-logs` logs per block, the others a tenth. Figures are the lag (from the
   announcement to the stream), CPU time, requests and memory. With `--base`, that checkout runs in turns with this
   one; ratios compare the runs of a round.

The node is a process with prepared answers over a WebSocket. Redis has the settings of the embedded server,
append-only file included. Both share the cores with ingestor and processor. The quickest of several runs counts;
the JSON contains all runs.
"""

import argparse
import asyncio
import contextlib
import gc
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from support import fast_chains, pipeline, program, report, versions
from support.environment import directory
from support.fast_chains import Course
from support.pipeline import PreparedNode, prepared_node
from support.prepared_chain import CHAIN_ID
from support.redis_server import RedisServer, running_redis

from hookfarm import event_stream, logs
from hookfarm.chain.block import Head
from hookfarm.chain.node import Node, connect
from hookfarm.chain.node_pool import NodePool
from hookfarm.chain.prover import Prover
from hookfarm.chain.timing import NodeTimeouts
from hookfarm.event_ingestor.process import COLLECT_EVERY
from hookfarm.event_ingestor.published_events import PublishedEvents
from hookfarm.event_ingestor.publisher import Publisher
from hookfarm.event_ingestor.reorg import ForkPoint, next_rollback_step
from hookfarm.event_ingestor.telemetry import IngestorCounters, Telemetry
from hookfarm.event_stream import Checkpoint, RetryingChainStream
from hookfarm.farm.child import Child
from hookfarm.farm.scoreboard import Scoreboard
from hookfarm.outage import Outage
from hookfarm.store import keys
from hookfarm.store.clients import RetryingClient, async_client

WHOLE, INGESTOR, TIP, FAST = SCENARIOS = ("whole", "ingestor", "tip", "fast")
CHECKS = {"every_check": "bloom", "no_check": "none"}

Run = dict[str, Any]


@dataclass(frozen=True)
class IngestEnvironment:
    """A publisher at block 0 with an empty Redis, and its node."""

    server: RedisServer
    node: Node
    stream: RetryingChainStream
    publisher: Publisher


QUICK = {
    "blocks": 30,
    "logs": 100,
    "subscriptions": 100,
    "repeat": 1,
    "chains": 3,
    "fast_logs": 300,
    "seconds": 4.0,
}


def main() -> int:
    options = _options()
    logs.configure(level="error")
    knobs = {**program.knobs(options), "wanted": "1 in 100", "warm_up": "none"}
    result = program.begin("ingest", options, knobs)
    if {WHOLE, INGESTOR, TIP} & set(options.scenarios):
        with prepared_node(options.blocks, options.logs) as node:
            _of_one_chain(node, options, result)
    if FAST in options.scenarios:
        result["fast_chains"] = _fast_chains(options)
    program.finish(options, result)
    return 0


def _of_one_chain(node: PreparedNode, options: argparse.Namespace, result: Run) -> None:
    """Run the scenarios of one chain and add their figures to the result."""
    if WHOLE in options.scenarios:
        for name, verify in CHECKS.items():
            runs = [pipeline.run(node, verify, options.subscriptions) for _ in range(options.repeat)]
            result[f"whole_{name}"] = _best(f"chain to delivery queue, {name.replace('_', ' ')}", runs)
    gc.set_threshold(COLLECT_EVERY)
    if INGESTOR in options.scenarios:
        for name, verify in CHECKS.items():
            runs = [asyncio.run(_catch_up(node, verify)) for _ in range(options.repeat)]
            result[f"ingestor_{name}"] = _best(f"ingestor alone, {name.replace('_', ' ')}", runs)
    if TIP in options.scenarios:
        result["tip"] = asyncio.run(_tip(node))
        report.print_numbers("tip, every check, block by block", result["tip"])


def _fast_chains(options: argparse.Namespace) -> Run:
    """Run fast chains with this checkout and the base in turns; return the figures of both and their ratios."""
    blocks = round(options.seconds * options.per_second)
    course = Course(options.chains, blocks, options.per_second, options.fast_logs, options.ingestors)
    runs, base_runs = [], []
    for number in range(1, options.repeat + 1):
        runs.append(fast_chains.run(course))
        report.print_numbers(f"fast chains, run {number} of {options.repeat}", runs[-1])
        if options.base:
            base_runs.append(fast_chains.run(course, options.base))
            report.print_numbers(f"base, run {number} of {options.repeat}", base_runs[-1])
    if not base_runs:
        return {"runs": runs}
    figures = ("ingestor_cpu_us_per_log", "redis_cpu_us_per_log", "requests_per_block", "memory_mb")
    ratios = {
        name: versions.ratios([run[name] for run in runs], [run[name] for run in base_runs]) for name in figures
    }
    rows = [(name, versions.shown(ratio)) for name, ratio in ratios.items()]
    report.print_table("ratio to the base: median, least and greatest of the rounds", ("", "ratio"), rows)
    return {"runs": runs, "base_runs": base_runs, "of_base": ratios}


def _options() -> argparse.Namespace:
    parser = program.parser(__doc__, repeat=3)
    parser.add_argument("--blocks", type=int, default=500)
    parser.add_argument("--logs", type=int, default=200, help="per block, on average")
    parser.add_argument("--subscriptions", type=int, default=1000, help="two of them match events")
    parser.add_argument("--scenarios", type=program.names(*SCENARIOS), default=list(SCENARIOS))
    parser.add_argument("--chains", type=int, default=10, help="fast chains: the fast one and its neighbours")
    parser.add_argument("--per-second", type=float, default=4.0, help="fast chains: blocks of each chain")
    parser.add_argument("--fast-logs", type=int, default=2000, help="fast chains: per block of the fast one")
    parser.add_argument("--seconds", type=float, default=20.0, help="fast chains: duration of a run")
    parser.add_argument("--ingestors", type=int, help="fast chains: max ingestors [default: the farm's own]")
    program.add_base(parser)
    return program.parse(parser, QUICK)


def _best(title: str, runs: list[Run]) -> Run:
    best = max(runs, key=lambda run: float(run["events_per_second"]))
    report.print_numbers(f"{title}, best of {len(runs)}", best)
    return {"best": best, "runs": runs}


@contextlib.asynccontextmanager
async def _ready_publisher(url: str, verify: str) -> AsyncIterator[IngestEnvironment]:
    with directory() as place, running_redis(place / "redis") as server:
        log = logs.get(keys.EVENT_INGESTOR)
        child = Child(keys.EVENT_INGESTOR, 0, Scoreboard({keys.EVENT_INGESTOR: 1}))
        counters = IngestorCounters(child.slot, CHAIN_ID)
        [profile] = NodePool([url]).all
        async with async_client(server.url) as client:
            node = await connect(profile, NodeTimeouts(), counters.head, counters.requested)
            stream = RetryingChainStream(RetryingClient(client, print), CHAIN_ID)
            telemetry = Telemetry(counters, Outage(child, log), log)
            publisher = Publisher(stream, Prover(CHAIN_ID, verify), telemetry, from_block=1)
            try:
                await publisher.boot(node, await node.head())
                yield IngestEnvironment(server, node, stream, publisher)
            finally:
                await node.close()


async def _catch_up(node: PreparedNode, verify: str) -> Run:
    async with _ready_publisher(node.url, verify) as environment:
        began, cpu = time.perf_counter(), time.process_time()
        await environment.publisher.advance(environment.node, await environment.node.head())
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
        events = environment.server.client.xlen(keys.events(CHAIN_ID))
        assert events == node.events
    return {
        "events": events,
        "seconds": round(took, 3),
        "events_per_second": round(events / took),
        "ingestor_cpu_us_per_event": round(1e6 * cpu / events, 2),
    }


async def _tip(node: PreparedNode) -> Run:
    async with _ready_publisher(node.url, "bloom") as environment:
        took = []
        for number in range(1, node.blocks + 1):
            head = Head(number, (await environment.node.header(number)).block_hash)
            began = time.perf_counter()
            await environment.publisher.advance(environment.node, head)
            took.append(time.perf_counter() - began)
        client = environment.server.client
        kept: Any = client.memory_usage(keys.block_events(CHAIN_ID), samples=0)
        table: Any = client.memory_usage(keys.blocks(CHAIN_ID), samples=0)
        return {
            "head_to_checkpoint_p50_ms": round(1000 * report.quantile(took, 0.5), 2),
            "head_to_checkpoint_p99_ms": round(1000 * report.quantile(took, 0.99), 2),
            "events_per_second": round(node.events / sum(took)),
            "kept_blocks": client.hlen(keys.blocks(CHAIN_ID)),
            "kept_events_mb": round(kept / 1e6, 2),
            "block_table_mb": round(table / 1e6, 3),
            **await _roll_back(environment),
        }


async def _roll_back(environment: IngestEnvironment) -> Run:
    """Roll back all remembered blocks; return the figures."""
    at = await environment.stream.call(event_stream.read_checkpoint)
    assert at is not None
    lowest = max(0, at.number - event_stream.KEPT_BLOCKS + 1)
    [block] = await environment.stream.call(event_stream.read_remembered, [lowest], at)
    assert block is not None
    published = PublishedEvents(environment.node, environment.stream, lowest)
    began, removed = time.perf_counter(), 0
    while at.number > lowest:
        step = await next_rollback_step(environment.stream, at, ForkPoint(block.point), published)
        assert await environment.stream.call(event_stream.rollback, at, step.target, step.withdrawn)
        at, removed = Checkpoint(step.target.number, step.target.block_hash), removed + len(step.withdrawn)
    took = time.perf_counter() - began
    return {"rolled_back_events": removed, "rolled_back_events_per_second": round(removed / took)}


if __name__ == "__main__":
    sys.exit(main())
