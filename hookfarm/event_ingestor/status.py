"""What is told of the ingestors: where each chain stands."""

from collections.abc import Sequence
from typing import Any

from hookfarm.event_ingestor import gauges
from hookfarm.farm.board import Slot, State


def report(slots: Sequence[Slot]) -> dict[str, Any]:
    """The ingestors' part of the status: one entry per chain that is to be watched and has been reached."""
    return {
        "chains": [_chain(slot) for slot in slots if slot.state != State.EMPTY and slot.counter(gauges.CHAIN_ID)]
    }


def _chain(slot: Slot) -> dict[str, Any]:
    head, checkpoint = slot.counter(gauges.HEAD), slot.counter(gauges.CHECKPOINT)
    return {
        "chain_id": slot.counter(gauges.CHAIN_ID),
        "head": head,
        "checkpoint": checkpoint,
        "lag_blocks": max(0, head - checkpoint),
        "events_published": slot.counter(gauges.EVENTS_PUBLISHED),
        "events_removed": slot.counter(gauges.EVENTS_REMOVED),
        "reorgs": slot.counter(gauges.REORGS),
        "reorgs_beyond_memory": slot.counter(gauges.DEEP_REORGS),
        "blocks_repaired": slot.counter(gauges.BLOCKS_REPAIRED),
        "head_seen_at_ms": slot.counter(gauges.HEAD_SEEN_AT_MS),
        "block_timestamp": slot.counter(gauges.BLOCK_TIMESTAMP),
        "rpc_requests": slot.counter(gauges.RPC_REQUESTS),
        "rpc_requests_per_block": slot.counter(gauges.REQUESTS_PER_BLOCK) / 100 or None,
        "catching_up": _catching_up(slot),
        "why": slot.reason,
    }


def _catching_up(slot: Slot) -> dict[str, Any] | None:
    """None at the tip."""
    if not slot.counter(gauges.CATCHING_UP):
        return None
    return {
        "blocks_per_second": slot.counter(gauges.BLOCKS_PER_SECOND) / 100,
        "seconds_left": slot.counter(gauges.SECONDS_LEFT),
    }
