"""Cost of finding the subscriptions that match an event, by number of subscriptions.

    python benchmarks/matching.py [--subscriptions 10,1000,100000] [--rounds 7] [--json FILE|-] [--insist]

Each subscription has its own endpoint, and one event in a hundred matches exactly one of them. Redis is not used:
input are stream entries, output are jobs.

1. By shape and number of subscriptions, each in its own process: microseconds per event for matching alone
   (decoding included, if a condition needs it) and from entry to jobs; the time to build the index from checked
   records, and its memory.
2. One subscription with 100,000 addresses: the same.

The quickest of several rounds over the same events counts. Times are CPU time. A busy machine makes them longer,
because processes share its caches.
"""

import argparse
import gc
import random
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

import orjson
import psutil
from support import program, report

from hookfarm.event_stream import StreamEntry
from hookfarm.event_stream.event_json import read_event
from hookfarm.matching.decoder import DecodedLogs
from hookfarm.matching.index import Index
from hookfarm.matching.notifications import process_entry
from hookfarm.message_processor.process import GC_THRESHOLD
from hookfarm.records import MAX_ADDRESSES, Endpoint, Event, Subscription, TopicFilter

EVENTS = 5000
WANTED_EVERY = 100
LIST_NAME = f"list_of_{MAX_ADDRESSES}_addresses"
TRANSFER = "Transfer(address indexed from, address indexed to, uint256 value)"
TRANSFER_TOPIC = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
UNINDEXED = "Transfer(address from, address to, uint256 value)"
LEAST = 10**9
"""The lowest bound of the shape with bounds."""

Run = dict[str, Any]


@dataclass(frozen=True)
class Scenario:
    """`subscription(n)` makes subscription n; `event(n)` makes an event that matches only it, None = no match."""

    subscription: Callable[[int], Subscription]
    event: Callable[[int | None], Event]


QUICK = {"subscriptions": "10,200", "rounds": 1}


def main() -> int:
    options = _options()
    counts = [int(count) for count in options.subscriptions.split(",")]
    knobs = {
        "subscriptions": options.subscriptions, "rounds": options.rounds, "events": EVENTS,
        "wanted": f"1 in {WANTED_EVERY}", "warm_up": "one round",
    }  # fmt: skip
    result: Run = {**program.begin("matching", options, knobs), "shapes": {}}
    for shape in SCENARIOS:
        result["shapes"][shape] = _shape(shape, counts, options.rounds)
    result[LIST_NAME] = _apart(LIST_NAME, 1, options.rounds)
    report.print_numbers(LIST_NAME.replace("_", " "), result[LIST_NAME])
    program.finish(options, result)
    return 0


def _options() -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument("--subscriptions", default="10,1000,100000", help="comma separated")
    parser.add_argument("--rounds", type=int, default=7)
    return program.parse(parser, QUICK)


def _shape(shape: str, counts: Sequence[int], rounds: int) -> Run:
    runs = {str(count): _apart(shape, count, rounds) for count in counts}
    growth = runs[str(counts[-1])]["match_us"] / runs[str(counts[0])]["match_us"]
    for count, run in runs.items():
        report.print_numbers(f"{shape.replace('_', ' ')}, {int(count):,} subscriptions", run)
    report.print_numbers("", {"match_growth": round(growth, 3)})
    return {"runs": runs, "match_growth": growth}


def _apart(shape: str, count: int, rounds: int) -> Run:
    """Measure in a new process, so that its memory contains only this index."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_measure, shape, count, rounds).result()


def _measure(shape: str, count: int, rounds: int) -> Run:
    endpoints, events = _list_of_addresses() if shape == LIST_NAME else _scenario(SCENARIOS[shape], count)
    gc.set_threshold(GC_THRESHOLD)
    gc.collect()
    before, began = _resident_mb(), time.process_time()
    index = Index()
    for endpoint in endpoints:
        assert index.put(endpoint) == []
    built_seconds = time.process_time() - began
    gc.collect()
    memory_mb = _resident_mb() - before
    entries = [StreamEntry(1, b"1-0", orjson.dumps(event)) for event in events]
    results = [process_entry(index, entry) for entry in entries]
    wanted = sum(len(result.jobs) for result in results if result)
    assert wanted == len(events) // WANTED_EVERY, f"{wanted} matches"
    match_us = _best_us(lambda: _match(index, events), rounds)
    entry_us = _best_us(lambda: _process(index, entries), rounds)
    return {
        "match_us": round(match_us, 3),
        "matched_per_second": round(1e6 / match_us),
        "entry_to_jobs_us": round(entry_us, 3),
        "entries_per_second": round(1e6 / entry_us),
        "read_event_us": round(_best_us(lambda: _read(entries), rounds), 3),
        "build_seconds": round(built_seconds, 3),
        "build_us_per_subscription": round(built_seconds / len(endpoints) * 1e6, 1),
        "memory_mb": round(memory_mb, 1),
    }


def _resident_mb() -> float:
    return float(psutil.Process().memory_full_info().uss) / 1e6


def _best_us(once: Callable[[], None], rounds: int) -> float:
    """Return microseconds of CPU time per event, of the quickest round."""
    once()
    took = []
    for _ in range(rounds):
        began = time.process_time_ns()
        once()
        took.append((time.process_time_ns() - began) / EVENTS / 1000)
    return min(took)


def _match(index: Index, events: Sequence[Event]) -> None:
    for event in events:
        index.match(event, DecodedLogs(event))


def _process(index: Index, entries: Sequence[StreamEntry]) -> None:
    """Process entries like the message processor."""
    for entry in entries:
        process_entry(index, entry)


def _read(entries: Sequence[StreamEntry]) -> None:
    for entry in entries:
        read_event(entry)


def _scenario(scenario: Scenario, count: int) -> tuple[list[Endpoint], list[Event]]:
    subscribers = [
        Endpoint(f"ep_{n:024x}", "https://example.com/", subscriptions=(scenario.subscription(n),))
        for n in range(count)
    ]
    draw = random.Random(count)
    wanted = [draw.randrange(count) if n % WANTED_EVERY == 0 else None for n in range(EVENTS)]
    return subscribers, [scenario.event(n) for n in wanted]


def _list_of_addresses() -> tuple[list[Endpoint], list[Event]]:
    addresses = tuple(_address(n) for n in range(MAX_ADDRESSES))
    subscription = Subscription("sub_1", 1, addresses, TRANSFER)
    draw = random.Random(1)
    wanted = [draw.randrange(MAX_ADDRESSES) if n % WANTED_EVERY == 0 else None for n in range(EVENTS)]
    only = Endpoint("ep_1", "https://example.com/", subscriptions=(subscription,))
    return [only], [SCENARIOS["address"].event(n) for n in wanted]


# Shapes

_ANY = random.Random(0)


def _address(subscriber: int | None) -> str:
    """Return the address of a subscriber; None = an address that no subscription has."""
    own = _ANY.getrandbits(80) if subscriber is None else subscriber
    return f"0x{'ab' if subscriber is None else 'cd'}{own * 0x9E3779B97F4A7C15 % 2**152:038x}"


def _word(address: str) -> str:
    return f"0x{address[2:]:0>64}"


def _transfer(address: str, to: str, value: int = 1) -> Event:
    topics = [TRANSFER_TOPIC, _word(_address(None)), _word(to)]
    return _log(address, topics, f"0x{value:064x}")


def _log(address: str, topics: list[str], data: str) -> Event:
    return {
        "chain_id": 1,
        "block_number": 23_456_789,
        "block_hash": f"0x{_ANY.getrandbits(256):064x}",
        "block_timestamp": 1_795_370_400,
        "transaction_hash": f"0x{_ANY.getrandbits(256):064x}",
        "transaction_index": 4,
        "log_index": 7,
        "address": address,
        "topics": topics,
        "data": data,
        "removed": False,
    }


def _unindexed(to: str) -> Event:
    data = "".join(f"{word[2:]:0>64}" for word in (_address(None), to, f"0x{1:064x}"))
    return _log(_address(None), [TRANSFER_TOPIC], f"0x{data}")


def _subscription(
    event: str | None = TRANSFER,
    where: str | None = None,
    topics: tuple[TopicFilter, ...] | None = None,
    addresses: tuple[str, ...] = (),
) -> Subscription:
    return Subscription("sub_1", 1, addresses, event, topics, where)


def _to(subscriber: int | None) -> Event:
    return _transfer(_address(None), _address(subscriber))


SCENARIOS = {
    "address": Scenario(
        lambda n: _subscription(addresses=(_address(n),)), lambda n: _transfer(_address(n), _address(None))
    ),
    "topic": Scenario(
        lambda n: _subscription(event=None, topics=((TRANSFER_TOPIC,), None, (_word(_address(n)),))), _to
    ),
    "where_indexed_equal": Scenario(lambda n: _subscription(where=f"to == {_address(n)}"), _to),
    "where_equal": Scenario(
        lambda n: _subscription(UNINDEXED, f"to == {_address(n)}"), lambda n: _unindexed(_address(n))
    ),
    "where_bound": Scenario(
        lambda n: _subscription(where=f"value >= {LEAST + n}"),
        lambda n: _transfer(_address(None), _address(None), 1 if n is None else LEAST),
    ),
    "where_residual": Scenario(
        lambda n: _subscription(where=f"to == {_address(n)} and not (from == to or value > {n + 2})"), _to
    ),
}
"""Scenarios by name, in the order of measurement."""

if __name__ == "__main__":
    sys.exit(main())
