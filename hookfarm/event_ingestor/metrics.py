"""Where each chain stands and what its nodes were asked, as metrics."""

import time
from collections.abc import Callable, Iterable, Sequence

from hookfarm.chain.providers import FAILURE_KINDS
from hookfarm.event_ingestor import gauges
from hookfarm.farm.board import Slot, State
from hookfarm.metrics import Family, counter, gauge

PREFIX = "event_ingestor"
_COUNTED = {
    "events_published": (gauges.EVENTS_PUBLISHED, "Events added to the chain's stream."),
    "events_removed": (gauges.EVENTS_REMOVED, "Events taken back by reorgs."),
    "reorgs": (gauges.REORGS, "Reorgs followed."),
    "reorgs_beyond_memory": (gauges.DEEP_REORGS, "Reorgs that went below what was remembered."),
    "blocks_repaired": (gauges.BLOCKS_REPAIRED, "Blocks whose logs a node left out and whose receipts it had."),
    "rpc_requests": (gauges.RPC_REQUESTS, "Requests sent to nodes; a batch is one."),
}
_STANDING = {
    "head_block": (gauges.HEAD, "Number of the newest block known."),
    "checkpoint_block": (gauges.CHECKPOINT, "Number of the last block wholly published."),
    "catching_up": (gauges.CATCHING_UP, "1 while far behind the head."),
}


def families(slots: Sequence[Slot], clock: Callable[[], float] = time.time) -> Iterable[Family]:
    """A sample for each chain that is to be watched and has been reached."""
    chains = [slot for slot in slots if slot.state != State.EMPTY and slot.counter(gauges.CHAIN_ID)]
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
    yield from _ages(chains, clock())
    yield from _calls(chains)


def _ages(chains: Sequence[Slot], now: float) -> Iterable[Family]:
    """Only of chains that have told a block and published one."""
    yield gauge(
        f"{PREFIX}_lag_seconds",
        "Age of the last block published, by its own timestamp.",
        *(
            (_labels(slot), max(0.0, round(now - slot.counter(gauges.BLOCK_TIMESTAMP), 3)))
            for slot in chains
            if slot.counter(gauges.BLOCK_TIMESTAMP)
        ),
    )
    yield gauge(
        f"{PREFIX}_head_age_seconds",
        "Time since the newest block became known.",
        *(
            (_labels(slot), max(0.0, round(now - slot.counter(gauges.HEAD_SEEN_AT_MS) / 1000, 3)))
            for slot in chains
            if slot.counter(gauges.HEAD_SEEN_AT_MS)
        ),
    )


def _calls(chains: Sequence[Slot]) -> Iterable[Family]:
    """Methods that a node was never asked for are left out."""
    yield counter(
        f"{PREFIX}_rpc_calls",
        "Calls by node (scheme, host and port) and method; each call of a batch is one.",
        *(
            ({**_labels(slot), "node": node, "method": method}, slot.counter(gauges.call(place, method)))
            for slot in chains
            for place, node in enumerate(slot.note.split())
            for method in gauges.METHODS
            if slot.counter(gauges.call(place, method))
        ),
    )
    yield counter(
        f"{PREFIX}_rpc_errors",
        "Calls that a node refused, limited, or gave no usable answer to.",
        *(
            ({**_labels(slot), "node": node, "kind": kind}, slot.counter(gauges.failed_call(place, kind)))
            for slot in chains
            for place, node in enumerate(slot.note.split())
            for kind in FAILURE_KINDS
        ),
    )


def _labels(slot: Slot) -> dict[str, str]:
    return {"chain_id": str(slot.counter(gauges.CHAIN_ID))}


def _lag_blocks(slot: Slot) -> int:
    return max(0, slot.counter(gauges.HEAD) - slot.counter(gauges.CHECKPOINT))
