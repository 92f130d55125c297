"""Share of a chain's logs that a backfill of one contract transfers, with and without its filter.

    python benchmarks/filtered_backfill.py [--blocks 100000] [--logs 10] [--every 1000] [--full 2000]
        [--json FILE|-] [--insist]

1. A devchain mines `--blocks` blocks of `--logs` ERC-20 transfers. One block in `--every` has instead two logs of
   the contract among as many logs. Every answer to a request with addresses omits its last log.
2. A backfill of the contract reads all blocks but the newest 300, and must find all its logs. The devchain counts
   the logs and requests that it serves.
3. For comparison, `--full` blocks are read without the filter (`verify=contiguous`).
4. Expected share of blocks that are read for a contract without logs, because their bloom only seems to have it:
   random blooms of 10 to 400 transfers of 200 tokens among 50,000 accounts.

The devchain runs in the same process, so `seconds` include its work.
"""

import argparse
import asyncio
import random
import sys
import time
from typing import Any

from support import program, report
from support.environment import directory
from support.redis_server import RedisServer, running_redis

from hookfarm.abi import bloom
from hookfarm.backfill import state
from hookfarm.backfill.plan import BackfillPlan, BackfillRequest
from hookfarm.backfill.run import BackfillRun
from hookfarm.config import ChainConfig
from hookfarm.devchain.embedded import Log, RunningDevchain, running_devchain
from hookfarm.event_stream import Checkpoint
from hookfarm.records import Endpoint, Subscription
from hookfarm.registry.store import Registry, new_secret
from hookfarm.store import keys
from hookfarm.store.clients import async_client

CHAIN_ID = 31337
CONTRACT, OTHER = "0x" + "c0" * 20, "0x" + "ee" * 20
PAID, NAMED = "0x" + "7a" * 32, "0x" + "7b" * 32
NEWEST_BLOCKS = 300
"""Blocks near the checkpoint, which a reorg may replace: those are always read with all logs."""
MINED_AT_ONCE = 500
TOKENS, ACCOUNTS, SAMPLES = 200, 50_000, 500
SIZES = (10, 50, 100, 200, 400)

QUICK = {"blocks": 3_000, "every": 1_000, "full": 200}


def main() -> int:
    options = _options()
    result = program.begin("filtered_backfill", options, program.knobs(options))
    history = 2 * options.blocks * options.logs
    with running_devchain(chain_id=CHAIN_ID, logs_per_block=options.logs, history_logs=history) as chain:
        wanted = _mine(chain, options)
        chain.set_fault("omitted_logs", answers="filtered")
        last = options.blocks - NEWEST_BLOCKS
        result["filtered"] = _read(chain, last, options, None)
        report.print_numbers(f"{last:,} blocks with the filter", result["filtered"])
        assert result["filtered"]["matches"] == sum(2 for number in wanted if number <= last), "a log was missed"
        result["full"] = _read(chain, min(options.full, last), options, "contiguous")
        report.print_numbers("without the filter", result["full"])
    result["seeming"] = {str(logs): _seeming(logs) for logs in SIZES}
    rows = [
        (name, *(f"{100 * share:.2f} %" for share in found.values())) for name, found in result["seeming"].items()
    ]
    report.print_table("blocks whose bloom only seems to match", ("logs per block", *_seeming(1)), rows)
    program.finish(options, result)
    return program.status(options, result["filtered"]["transferred_percent"] <= 1.0)


def _options() -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument("--blocks", type=int, default=100_000)
    parser.add_argument("--logs", type=int, default=10, help="per block")
    parser.add_argument("--every", type=int, default=1_000, help="one block in so many has logs of the contract")
    parser.add_argument("--full", type=int, default=2_000, help="blocks read without the filter")
    return program.parse(parser, QUICK)


def _mine(chain: RunningDevchain, options: argparse.Namespace) -> list[int]:
    """Mine all blocks; return the numbers of those with logs of the contract."""
    others = [Log.parse(OTHER, [NAMED], f"0x{n:064x}") for n in range(options.logs - 2)]
    ours = [Log.parse(CONTRACT, [PAID], f"0x{n:064x}") for n in range(2)]
    wanted = []
    number = 0
    while number < options.blocks:
        number += 1
        if number % options.every == 0:
            chain.mine_logs([*others, *ours])
            wanted.append(number)
        else:
            more = min(options.every - number % options.every, options.blocks - number + 1, MINED_AT_ONCE)
            chain.mine(more)
            number += more - 1
    return wanted


def _read(chain: RunningDevchain, last: int, options: argparse.Namespace, verify: str | None) -> dict[str, Any]:
    with directory() as place, running_redis(place / "redis") as server:
        before, began = chain.stats(), time.perf_counter()
        matches = asyncio.run(_backfill(server, chain, last, verify))
        took, after = time.perf_counter() - began, chain.stats()
    served = after["logs_served"] - before["logs_served"]
    requests = sum(after["requests"].values()) - sum(before["requests"].values())
    return {
        "blocks": last,
        "matches": matches,
        "logs_transferred": served,
        "transferred_percent": round(100 * served / (last * options.logs), 3),
        "requests": requests,
        "seconds": round(took, 2),
        "blocks_per_second": round(last / took),
    }


async def _backfill(server: RedisServer, chain: RunningDevchain, last: int, verify: str | None) -> int:
    head = chain.head()
    server.client.set(keys.checkpoint(CHAIN_ID), Checkpoint(head.number, head.hash).encode())
    subscription = Subscription("sub_1", CHAIN_ID, (CONTRACT,))
    endpoint = Endpoint(
        "ep_1", "http://127.0.0.1:9/", subscriptions=(subscription,), secrets=((new_secret(), None),)
    )
    Registry(server.client).update(endpoint)
    request = BackfillRequest(endpoint.id, CHAIN_ID, 1, last, None)
    plan = BackfillPlan(request, endpoint, ChainConfig(CHAIN_ID, (chain.ws_url,), verify=verify), last)
    facts: dict[str, str | int] = {"endpoint": endpoint.id, "chain_id": CHAIN_ID, "subscription": ""}
    span: dict[str, str | int] = {"from_block": 1, "to_block": last}
    stored = state.start(server.client, request.name, {**facts, **span})
    async with async_client(server.url) as client:
        run = BackfillRun(client, plan, stored, lambda _: None)
        await run.run()
        return run.progress().delivered_new


def _seeming(logs: int) -> dict[str, float]:
    """Return the share of random blooms that contain an address, and an address and an event that is rare."""
    draw = random.Random(logs)
    found = {"address": 0, "address and event": 0}
    for _ in range(SAMPLES):
        values = {NAMED}
        for _ in range(logs):
            accounts = (f"0x{draw.randrange(ACCOUNTS):064x}" for _ in range(2))
            values |= {f"0x{draw.randrange(TOKENS):040x}", *accounts}
        bits = bloom.of_values(values)
        address, event = (bloom.bits_of_hex(f"0x{draw.randbytes(size).hex()}") for size in (20, 32))
        found["address"] += address & bits == address
        found["address and event"] += (address | event) & bits == address | event
    return {name: count / SAMPLES for name, count in found.items()}


if __name__ == "__main__":
    sys.exit(main())
