"""Where each chain stands and what its nodes were asked, as metrics."""

import time
from collections.abc import Callable, Iterable, Sequence

from hookfarm.chain.node_pool import FAILURE_KINDS
from hookfarm.event_ingestor import counters, node_telemetry
from hookfarm.event_ingestor.status import nodes
from hookfarm.farm.scoreboard import Slot, State
from hookfarm.metrics import Family, counter, gauge

PREFIX = "event_ingestor"
_COUNTED = {
    "events_published": (counters.EVENTS_PUBLISHED, "Events added to the chain's stream."),
    "events_removed": (counters.EVENTS_REMOVED, "Events taken back by reorgs."),
    "reorgs": (counters.REORGS, "Reorgs followed."),
    "reorgs_beyond_memory": (counters.DEEP_REORGS, "Reorgs that went below what was remembered."),
    "blocks_repaired": (counters.BLOCKS_REPAIRED, "Blocks whose logs a node left out and whose receipts it had."),
    "rpc_requests": (counters.RPC_REQUESTS, "Requests sent to nodes; a batch is one."),
}
_STANDING = {
    "head_block": (counters.HEAD, "Number of the newest block known."),
    "checkpoint_block": (counters.CHECKPOINT, "Number of the last block wholly published."),
    "catching_up": (counters.CATCHING_UP, "1 while far behind the head."),
}


def families(slots: Sequence[Slot], clock: Callable[[], float] = time.time) -> Iterable[Family]:
    """A sample for each chain that is to be watched and has been reached."""
    chains = [slot for slot in slots if slot.state != State.EMPTY and slot.counter(counters.CHAIN_ID)]
    for name, (index, text) in _COUNTED.items():
        yield counter(f"{PREFIX}_{name}", text, *((_labels(slot), slot.counter(index)) for slot in chains))
    for name, (index, text) in _STANDING.items():
        yield gauge(f"{PREFIX}_{name}", text, *((_labels(slot), slot.counter(index)) for slot in chains))
    yield gauge(
        f"{PREFIX}_up",
        "1 while the chain is followed, 0 while it or Redis is missing.",
        *((_labels(slot), int(slot.pid != 0 and slot.state == State.UP)) for slot in chains),
    )
    yield gauge(
        f"{PREFIX}_lag_blocks",
        "Blocks between the newest one known and the last one published.",
        *((_labels(slot), _lag_blocks(slot)) for slot in chains),
    )
    yield gauge(
        f"{PREFIX}_rpc_requests_per_block",
        "Requests that a block takes at the tip, over the last 64 blocks.",
        *(
            (_labels(slot), slot.counter(counters.REQUESTS_PER_BLOCK) / 100)
            for slot in chains
            if slot.counter(counters.REQUESTS_PER_BLOCK)
        ),
    )
    yield from _ages(chains, clock())
    yield from _catching_up(chains)
    yield from _nodes(chains, clock())
    yield from _calls(chains)


def _ages(chains: Sequence[Slot], now: float) -> Iterable[Family]:
    """Only of chains that have told a block and published one."""
    yield gauge(
        f"{PREFIX}_lag_seconds",
        "Age of the last block published, by its own timestamp.",
        *(
            (_labels(slot), max(0.0, round(now - slot.counter(counters.BLOCK_TIMESTAMP), 3)))
            for slot in chains
            if slot.counter(counters.BLOCK_TIMESTAMP)
        ),
    )
    yield gauge(
        f"{PREFIX}_head_age_seconds",
        "Time since the newest block became known.",
        *(
            (_labels(slot), max(0.0, round(now - slot.counter(counters.HEAD_SEEN_AT_MS) / 1000, 3)))
            for slot in chains
            if slot.counter(counters.HEAD_SEEN_AT_MS)
        ),
    )


def _catching_up(chains: Sequence[Slot]) -> Iterable[Family]:
    """Only of chains that are far behind."""
    behind = [slot for slot in chains if slot.counter(counters.CATCHING_UP)]
    yield gauge(
        f"{PREFIX}_catch_up_blocks_per_second",
        "How fast a chain that is far behind its head is read.",
        *((_labels(slot), slot.counter(counters.BLOCKS_PER_SECOND) / 100) for slot in behind),
    )
    yield gauge(
        f"{PREFIX}_catch_up_seconds_left",
        "How long that still takes at this speed.",
        *((_labels(slot), slot.counter(counters.SECONDS_LEFT)) for slot in behind),
    )


def _nodes(chains: Sequence[Slot], now: float) -> Iterable[Family]:
    told = [({**_labels(slot), "node": one["name"]}, one) for slot in chains for one in nodes(slot, now)]
    yield gauge(
        f"{PREFIX}_node_active",
        "1 for the node (scheme, host and port) that is followed.",
        *((labels, int(one["state"] == "active")) for labels, one in told),
    )
    yield gauge(
        f"{PREFIX}_node_cooldown",
        "1 while the node is not asked after a failure, or because it serves another chain.",
        *((labels, int(one["state"] in ("cooldown", "wrong_chain"))) for labels, one in told),
    )
    yield counter(
        f"{PREFIX}_node_requests",
        "Requests sent to the node; a batch is one.",
        *((labels, one["requests"]) for labels, one in told),
    )


def _calls(chains: Sequence[Slot]) -> Iterable[Family]:
    """Methods that a node was never asked for are left out."""
    yield counter(
        f"{PREFIX}_rpc_calls",
        "Calls by node (scheme, host and port) and method; each call of a batch is one.",
        *(
            ({**_labels(slot), "node": node, "method": method}, slot.counter(node_telemetry.call(place, method)))
            for slot in chains
            for place, node in enumerate(node_telemetry.origins(slot))
            for method in node_telemetry.METHODS
            if slot.counter(node_telemetry.call(place, method))
        ),
    )
    yield counter(
        f"{PREFIX}_rpc_errors",
        "Calls that a node refused, limited, or gave no usable answer to.",
        *(
            ({**_labels(slot), "node": node, "kind": kind}, slot.counter(node_telemetry.failed_call(place, kind)))
            for slot in chains
            for place, node in enumerate(node_telemetry.origins(slot))
            for kind in FAILURE_KINDS
        ),
    )


def _labels(slot: Slot) -> dict[str, str]:
    return {"chain_id": str(slot.counter(counters.CHAIN_ID))}


def _lag_blocks(slot: Slot) -> int:
    return max(0, slot.counter(counters.HEAD) - slot.counter(counters.CHECKPOINT))
