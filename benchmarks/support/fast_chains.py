"""Fast chains: ingestors as `hookfarm start` runs them, at the tip of one busy chain and of its neighbours.

The lag of a block is the time from its announcement to its last entry in the stream, whose id is the time of the
server in ms. The neighbours have a tenth of the logs per block, and announce in turns.
"""

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from hookfarm.event_stream import Checkpoint
from hookfarm.store import keys
from support import report
from support.environment import directory
from support.farm import Farm, running_farm
from support.pipeline import PreparedNode, prepared_node
from support.prepared_chain import CHAIN_ID
from support.processes import cpu_time
from support.redis_server import RedisServer, running_redis
from support.waiting import until

NEIGHBOURS_SHARE = 10
WARM_UP_BLOCKS = 4
"""Blocks whose lag is not counted."""
PATIENCE_SECONDS = 120.0
ENTRIES = 5_000
_BLOCK = re.compile(rb'"block_number":([0-9]+)')

Run = dict[str, Any]


@dataclass(frozen=True)
class Course:
    """`blocks` blocks at `per_second` of each of `chains` chains, the first one with `logs` logs on average."""

    chains: int
    blocks: int
    per_second: float
    logs: int
    ingestors: int | None = None

    @property
    def neighbours(self) -> list[int]:
        return [CHAIN_ID + number for number in range(1, self.chains)]

    def options(self, base: Path | None) -> tuple[str, ...]:
        """Return the option of the number of ingestors, if it is given and this checkout runs."""
        return ("--ingestors", str(self.ingestors)) if self.ingestors and base is None else ()


@dataclass(frozen=True)
class _Followed:
    """What a node reports of one of its chains: the times of its announcements (Unix ns), and its requests."""

    chain_id: int
    announced: list[int]
    requests: int


def run(course: Course, base: Path | None = None) -> Run:
    """Follow all chains from their first block to the last; return the figures. `base`: another checkout."""
    pause = 1 / course.per_second
    fast_node = prepared_node(course.blocks, course.logs, pause)
    logs = max(2, course.logs // NEIGHBOURS_SHARE)
    slow_node = prepared_node(course.blocks, logs, pause, course.neighbours)
    with directory() as place, running_redis(place / "redis") as server, fast_node as fast, slow_node as slow:
        nodes = {fast: [CHAIN_ID], slow: course.neighbours}
        urls = [f"{chain_id}={node.url}{chain_id}" for node, ids in nodes.items() for chain_id in ids]
        chains = [each for url in urls for each in ("--chain", url)]
        options = ("--redis-url", server.url, "--from-block", "1", *course.options(base), *chains)
        variables = {"PYTHONPATH": str(base.resolve())} if base else {}
        services = (keys.EVENT_INGESTOR,)
        with running_farm(place / "farm", *options, services=services, variables=variables) as farm:
            farm.until_ready(server.client, keys.EVENT_INGESTOR)
            return _measure(farm, server, course, nodes)


def _measure(farm: Farm, server: RedisServer, course: Course, nodes: dict[PreparedNode, list[int]]) -> Run:
    ingestors, redis = farm.workers(keys.EVENT_INGESTOR), [psutil.Process(server.pid)]
    before = [cpu_time(each).total for each in (ingestors, redis)]
    with ThreadPoolExecutor(len(nodes)) as pool:
        reports = [pool.submit(_follow, node, ids) for node, ids in nodes.items() if ids]
    followed = [chain for report_ in reports for chain in report_.result()]
    for chain in followed:
        _await_published(server, chain.chain_id, course.blocks)
    spent = [cpu_time(each).total - was for each, was in zip((ingestors, redis), before, strict=True)]
    logs = sum(node.events * len(ids) for node, ids in nodes.items())
    lags = {chain.chain_id: _lags_ms(server, chain) for chain in followed}
    others = [lag for chain_id in course.neighbours for lag in lags[chain_id]]
    requests = sum(chain.requests for chain in followed) / (course.blocks * course.chains)
    memory = [process.memory_full_info().uss / 1e6 for process in ingestors]
    return {
        "logs": logs,
        "lag_ms": _quantiles(lags[CHAIN_ID]),
        "neighbours_lag_ms": _quantiles(others) if others else {},
        "requests_per_block": round(requests, 3),
        "ingestor_cpu_us_per_log": round(1e6 * spent[0] / logs, 2),
        "ingestor_cpu_ms_per_block": round(1e3 * spent[0] / (course.blocks * course.chains), 2),
        "redis_cpu_us_per_log": round(1e6 * spent[1] / logs, 2),
        "ingestors": len(ingestors),
        "memory_mb": round(sum(memory), 1),
    }


def _follow(node: PreparedNode, chain_ids: Sequence[int]) -> list[_Followed]:
    """Run a node's chains to their end."""
    assert node.process.stdin is not None
    assert node.process.stdout is not None
    node.process.stdin.write("\n")
    node.process.stdin.flush()
    times = [int(node.process.stdout.readline()) for _ in range(node.blocks * len(chain_ids))]
    requests = map(int, node.process.stdout.readline().split())
    count = len(chain_ids)
    pairs = zip(chain_ids, requests, strict=True)
    return [_Followed(chain_id, times[at::count], sent) for at, (chain_id, sent) in enumerate(pairs)]


def _await_published(server: RedisServer, chain_id: int, block: int) -> None:
    def is_published() -> bool:
        stored: Any = server.client.get(keys.checkpoint(chain_id))
        return stored is not None and Checkpoint.decode(stored).number == block

    until(is_published, f"block {block} of chain {chain_id}", PATIENCE_SECONDS)


def _lags_ms(server: RedisServer, chain: _Followed) -> list[float]:
    """Return the lag of each block after the warm-up. Raises AssertionError if an event is missing."""
    published: dict[int, int] = {}
    start: Any = "-"
    while True:
        entries: Any = server.client.xrange(keys.events(chain.chain_id), min=start, count=ENTRIES)
        if not entries:
            break
        for entry, fields in entries:
            found = _BLOCK.search(fields[keys.EVENT_FIELD.encode()])
            assert found is not None
            published[int(found[1])] = int(entry.partition(b"-")[0])
        start = b"(" + entries[-1][0]
    assert len(published) == len(chain.announced), f"{len(published)} blocks of {len(chain.announced)}"
    counted = enumerate(chain.announced[WARM_UP_BLOCKS:], start=WARM_UP_BLOCKS + 1)
    return [published[number] - announced / 1e6 for number, announced in counted]


def _quantiles(values: Sequence[float]) -> dict[str, float]:
    return report.quantiles(values, {"p50": 0.5, "p99": 0.99, "max": 1.0}, digits=1)
