"""Time from a block's announcement to the arrival of its webhooks.

    python benchmarks/block_to_webhook.py [--blocks 150] [--logs 100] [--wanted-tokens 10] [--seconds 0.2]
                                          [--workers 50] [--json FILE|-] [--insist]

The whole farm, as `hookfarm start` runs it, follows a chain whose node announces a block every `--seconds`. The
time of a webhook begins just before the node sends the announcement (`newHeads`). It ends with the arrival at a
receiver that verifies signatures. It includes the request for the block's logs, all checks of completeness,
stream, matching, queue and POST.

The node is a process with prepared answers; a real node adds its own time.
"""

import argparse
import sys
from typing import Any

from support import program, report
from support.environment import directory
from support.farm import Farm, running_farm
from support.pipeline import EVENT, PreparedNode, prepared_node
from support.prepared_chain import CHAIN_ID, hash_of, token
from support.receivers import Recorder, running_recorder
from support.redis_server import RedisServer, running_redis
from support.waiting import until

from hookfarm.matching.payload import LOG_EMITTED, webhook_id
from hookfarm.records import Endpoint, Event, Subscription, new_endpoint_id, new_subscription_id
from hookfarm.registry.store import Registry, new_secret
from hookfarm.store import keys

Run = dict[str, Any]

QUICK = {"blocks": 15, "warm_up": 3, "logs": 40, "workers": 5}


def main() -> int:
    options = _options()
    result = program.begin("block_to_webhook", options, program.knobs(options))
    took = _measure(options)
    report.print_numbers("announcement to arrival", took)
    program.finish(options, {**result, **took})
    return 0


def _options() -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument("--blocks", type=int, default=150)
    parser.add_argument("--warm-up", type=int, default=10, help="blocks that are not counted")
    parser.add_argument("--logs", type=int, default=100, help="per block")
    parser.add_argument("--wanted-tokens", type=int, default=10, help="of 200, each with as many transfers")
    parser.add_argument("--seconds", type=float, default=0.2, help="between two blocks")
    parser.add_argument("--workers", type=int, default=50)
    return program.parse(parser, QUICK)


def _measure(options: argparse.Namespace) -> Run:
    secret, blocks = new_secret(), options.warm_up + options.blocks
    with (
        directory() as place,
        running_redis(place / "redis") as server,
        running_recorder(secret, place / "recorder") as recorder,
        prepared_node(blocks, options.logs, options.seconds) as node,
    ):
        endpoint = _subscribe(server, recorder, secret, options.wanted_tokens)
        farm_options = ("--redis-url", server.url, "--workers", str(options.workers), "--api", "127.0.0.1:0")
        with running_farm(place / "farm", *farm_options, "--chain", f"{CHAIN_ID}={node.url}") as farm:
            for service in keys.SERVICES:
                farm.until_ready(server.client, service)
            wanted = node.chain.logs_of(options.wanted_tokens)
            announced = _announced(node, blocks)
            arrivals = _arrivals(farm, recorder, len(wanted))
    assert len(arrivals) == len(wanted), f"{len(arrivals)} webhooks of {len(wanted)}"
    counted = [log for log in wanted if log[0] > options.warm_up]
    return _told([(arrivals[_id(endpoint, *log)] - announced[log[0] - 1]) / 1e6 for log in counted])


def _told(duration_ms: list[float]) -> Run:
    shares = {"p50_ms": 0.5, "p90_ms": 0.9, "p99_ms": 0.99, "max_ms": 1.0}
    return {"webhooks": len(duration_ms), **report.quantiles(duration_ms, shares, digits=2)}


def _subscribe(server: RedisServer, recorder: Recorder, secret: str, tokens: int) -> Endpoint:
    addresses = tuple(token(number) for number in range(tokens))
    wants = Subscription(new_subscription_id(), CHAIN_ID, addresses, EVENT)
    endpoint = Endpoint(new_endpoint_id(), recorder.url, subscriptions=(wants,), secrets=((secret, None),))
    Registry(server.client).update(endpoint)
    return endpoint


def _announced(node: PreparedNode, blocks: int) -> list[int]:
    """Run the chain; return the time of each block's announcement (Unix ns)."""
    assert node.process.stdin is not None
    assert node.process.stdout is not None
    node.process.stdin.write("\n")
    node.process.stdin.flush()
    return [int(node.process.stdout.readline()) for _ in range(blocks)]


def _arrivals(farm: Farm, recorder: Recorder, count: int) -> dict[str, int]:
    until(lambda: recorder.requests() >= count, f"the arrival of {count} webhooks")
    farm.check_alive()
    return recorder.arrivals()


def _id(endpoint: Endpoint, block: int, log_index: int) -> str:
    event: Event = {
        "chain_id": CHAIN_ID,
        "block_number": block,
        "block_hash": hash_of(block),
        "block_timestamp": 0,
        "transaction_hash": "",
        "transaction_index": log_index,
        "log_index": log_index,
        "address": "",
        "topics": [],
        "data": "",
    }
    return webhook_id(event, endpoint.id, LOG_EMITTED)


if __name__ == "__main__":
    sys.exit(main())
