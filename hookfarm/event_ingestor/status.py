"""What is told of the ingestors: where each chain stands, and how its nodes do."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from hookfarm import timestamps
from hookfarm.event_ingestor import counters, node_telemetry
from hookfarm.event_ingestor.node_telemetry import Seen
from hookfarm.farm.scoreboard import Slot, State

_AT_WORK = (State.UP, State.STALLED)


def report(slots: Sequence[Slot], clock: Callable[[], float] = time.time) -> dict[str, Any]:
    """The ingestors' part of the status: one entry per chain that is to be watched and has been reached."""
    reached = [slot for slot in slots if slot.state != State.EMPTY and slot.counter(counters.CHAIN_ID)]
    return {"chains": [_chain(slot, clock()) for slot in reached]}


def nodes(slot: Slot, now: float) -> list[dict[str, Any]]:
    """How each of a chain's nodes does, the preferred one first."""
    return [_node(seen, slot.state in _AT_WORK, int(now * 1000)) for seen in node_telemetry.seen(slot)]


def _chain(slot: Slot, now: float) -> dict[str, Any]:
    head, checkpoint = slot.counter(counters.HEAD), slot.counter(counters.CHECKPOINT)
    return {
        "chain_id": slot.counter(counters.CHAIN_ID),
        "head": head,
        "checkpoint": checkpoint,
        "lag_blocks": max(0, head - checkpoint),
        "events_published": slot.counter(counters.EVENTS_PUBLISHED),
        "events_removed": slot.counter(counters.EVENTS_REMOVED),
        "reorgs": slot.counter(counters.REORGS),
        "reorgs_beyond_memory": slot.counter(counters.DEEP_REORGS),
        "blocks_repaired": slot.counter(counters.BLOCKS_REPAIRED),
        "head_seen_at": _at(slot.counter(counters.HEAD_SEEN_AT_MS)),
        "block_timestamp": slot.counter(counters.BLOCK_TIMESTAMP),
        "rpc_requests": slot.counter(counters.RPC_REQUESTS),
        "rpc_requests_per_block": slot.counter(counters.REQUESTS_PER_BLOCK) / 100 or None,
        "nodes": nodes(slot, now),
        "catching_up": _catching_up(slot),
        "reason": slot.reason,
    }


def _catching_up(slot: Slot) -> dict[str, Any] | None:
    """None at the tip."""
    if not slot.counter(counters.CATCHING_UP):
        return None
    return {
        "blocks_per_second": slot.counter(counters.BLOCKS_PER_SECOND) / 100,
        "seconds_left": slot.counter(counters.SECONDS_LEFT),
    }


def _node(seen: Seen, at_work: bool, now_ms: int) -> dict[str, Any]:
    """The JSON of one node; `cooldown_until` is None unless the node is in cooldown."""
    return {
        "name": seen.origin,
        "kind": seen.kind,
        "state": _state(seen, at_work, now_ms),
        "cooldown_until": _at(seen.cooldown_until_ms) if seen.cooldown_until_ms > now_ms else None,
        "last_error": seen.last_error,
        "last_error_at": _at(seen.failed_at_ms),
        "requests": seen.requests,
        "calls": seen.calls,
        "errors": seen.errors,
    }


def _state(seen: Seen, at_work: bool, now_ms: int) -> str:
    """A node is active only while the process that follows it runs."""
    if seen.is_active and at_work:
        return "active"
    if seen.is_of_wrong_chain:
        return "wrong_chain"
    return "cooldown" if seen.cooldown_until_ms > now_ms else "standby"


def _at(ms: int | None) -> str | None:
    """RFC 3339; None if it never happened."""
    return timestamps.format_ms(ms) if ms else None
