"""Ingestor and processor as `hookfarm start` runs them, from a node's answers to the delivery queue."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from hookfarm.delivery_queue import read_depths
from hookfarm.records import Endpoint, Subscription, new_endpoint_id, new_subscription_id
from hookfarm.registry.store import Registry
from hookfarm.store import keys
from support.environment import directory
from support.farm import Farm, running_farm
from support.prepared_chain import CHAIN_ID, TOKENS, PreparedChain, token
from support.processes import cpu_time
from support.redis_server import RedisServer, running_redis
from support.waiting import until

EVENT = "Transfer(address indexed from, address indexed to, uint256 value)"
WANTED_TOKENS = TOKENS // 100
"""Tokens of 1 % of all transfers."""
PATIENCE_SECONDS = 300.0
LOOK_SECONDS = 0.005
RAMP = 0.1
"""Share of the jobs at the beginning, and at the end, that is not measured."""

Run = dict[str, Any]


@dataclass(frozen=True)
class PreparedNode:
    """A running prepared chain, and the same chain in this process."""

    url: str
    chain: PreparedChain
    process: "subprocess.Popen[str]"
    blocks: int

    @property
    def events(self) -> int:
        return self.chain.events

    def wanted(self) -> int:
        return len(self.chain.logs_of(WANTED_TOKENS))


@contextlib.contextmanager
def prepared_node(
    blocks: int, logs_per_block: int, every_seconds: float | None = None, chain_ids: Sequence[int] = ()
) -> Iterator[PreparedNode]:
    """Run a prepared chain, or several with the same blocks; see prepared_chain.py."""
    chain = PreparedChain(blocks, logs_per_block)
    command = [sys.executable, "-m", "support.prepared_chain", str(blocks), str(logs_per_block)]
    command += [] if every_seconds is None else [str(each) for each in (every_seconds, *chain_ids)]
    place, pipe = Path(__file__).parents[1], subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=place) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            yield PreparedNode(url, chain, process, blocks)
        finally:
            process.terminate()


def run(node: PreparedNode, verify: str, subscriptions: int) -> Run:
    """Process the whole chain once, on a fresh Redis; return the figures."""
    with directory() as place, running_redis(place / "redis") as server:
        _subscribe(server, subscriptions)
        watch = _Watch(server, node)
        options = ("--redis-url", server.url, "--chain", f"{CHAIN_ID}={node.url};verify={verify}")
        services = (keys.MESSAGE_PROCESSOR, keys.EVENT_INGESTOR)
        with running_farm(place / "farm", *options, "--from-block", "1", services=services) as farm:
            return watch.until_done(farm)


class _Watch:
    """Watches the jobs of a run and the CPU time of each process."""

    def __init__(self, server: RedisServer, node: PreparedNode) -> None:
        self._client = server.client
        self._node = node
        self._wanted = node.wanted()
        self._servers = {"redis": [psutil.Process(server.pid)], "node": [psutil.Process(node.process.pid)]}

    def until_done(self, farm: Farm) -> Run:
        until(self._checkpoint, "the first checkpoint", every_seconds=LOOK_SECONDS)
        before = self._cpu_seconds(farm)
        began = self._time_of(RAMP)
        ended = self._time_of(1 - RAMP)
        until(self._is_done, "the arrival of all jobs in the queue", PATIENCE_SECONDS, LOOK_SECONDS)
        events = self._node.events
        after = self._cpu_seconds(farm)
        cpu = {name: round(1e6 * (after[name] - before[name]) / events, 2) for name in after}
        jobs = self._jobs()
        assert jobs == self._wanted, f"{jobs} jobs of {self._wanted}"
        return {
            "events": events,
            "jobs": jobs,
            "events_per_second": round(events * (1 - 2 * RAMP) / (ended - began)),
            "cpu_us_per_event": {**cpu, "total": round(sum(cpu.values()), 2)},
        }

    def _time_of(self, share: float) -> float:
        """Return the time at which this share of the jobs is in the ledger."""
        jobs = share * self._wanted
        until(lambda: self._jobs() >= jobs, f"{jobs:.0f} jobs", PATIENCE_SECONDS, LOOK_SECONDS)
        return time.perf_counter()

    def _jobs(self) -> int:
        return read_depths(self._client).undelivered

    def _is_done(self) -> bool:
        """Return whether all events are published and all entries are acknowledged."""
        published = self._checkpoint().startswith(b"%d:" % self._node.blocks)
        return published and self._client.xlen(keys.events(CHAIN_ID)) == 0

    def _checkpoint(self) -> bytes:
        stored = self._client.get(keys.checkpoint(CHAIN_ID))
        return stored if isinstance(stored, bytes) else b""

    def _cpu_seconds(self, farm: Farm) -> dict[str, float]:
        everybody = {
            "ingestor": farm.workers(keys.EVENT_INGESTOR),
            "processor": farm.workers(keys.MESSAGE_PROCESSOR),
            **self._servers,
        }
        return {name: cpu_time(processes).total for name, processes in everybody.items()}


def _subscribe(server: RedisServer, count: int) -> None:
    """Add `count` endpoints with one subscription each; WANTED_TOKENS of them match a token of the chain."""
    registry = Registry(server.client)
    for number in range(count):
        address = token(number if number < WANTED_TOKENS else TOKENS + number)
        subscription = Subscription(new_subscription_id(), CHAIN_ID, addresses=(address,), event=EVENT)
        endpoint = Endpoint(new_endpoint_id(), "https://example.com/", subscriptions=(subscription,))
        registry.update(endpoint)
