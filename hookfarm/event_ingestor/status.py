"""The ingestors' part of the status: each chain with its nodes."""

import time
from collections.abc import Callable, Sequence
from typing import Annotated, Literal, TypedDict

from hookfarm import timestamps
from hookfarm.event_ingestor import counters, node_telemetry
from hookfarm.event_ingestor.node_telemetry import Seen
from hookfarm.farm.scoreboard import Slot, State

_AT_WORK = (State.UP, State.STALLED)
NodeState = Literal["active", "standby", "cooldown", "wrong_chain"]


class NodeStatus(TypedDict):
    """One JSON-RPC node of a chain. Counts are since the farm started; `errors` are failed calls by kind."""

    name: Annotated[str, "Scheme, host and port; never the rest of its URL."]
    kind: Literal["ws", "http"]
    state: NodeState
    cooldown_until: Annotated[str | None, "null unless the node is in cooldown."]
    last_error: str
    last_error_at: str | None
    requests: Annotated[int, "Since the farm started; a batch is one."]
    calls: Annotated[int, "Since the farm started; each call of a batch is one."]
    errors: Annotated[dict[str, int], "Failed calls by kind."]


class CatchUp(TypedDict):
    """Progress of a chain that is far behind its head."""

    blocks_per_second: float
    remaining_ms: int


class ChainReport(TypedDict):
    """One chain as its ingestor reports it."""

    chain_id: int
    head: int
    checkpoint: int
    lag_blocks: int
    events_published: int
    events_removed: int
    reorgs: int
    reorgs_beyond_memory: int
    blocks_repaired: int
    head_seen_at: str | None
    checkpoint_at: Annotated[str | None, "Time of the checkpoint's block."]
    rpc_requests: int
    rpc_requests_per_block: float | None
    nodes: list[NodeStatus]
    catch_up: CatchUp | None
    reason: str


class IngestorReport(TypedDict, total=False):
    """The ingestors' part of the status."""

    chains: list[ChainReport]


def report(slots: Sequence[Slot], clock: Callable[[], float] = time.time) -> IngestorReport:
    """Return one entry per chain whose nodes have been reached."""
    reached = [slot for slot in slots if slot.state != State.EMPTY and slot.counter(counters.CHAIN_ID)]
    return {"chains": [_chain(slot, clock()) for slot in reached]}


def nodes(slot: Slot, now: float) -> list[NodeStatus]:
    """Return the nodes of a chain, the preferred one first."""
    return [_node(seen, slot.state in _AT_WORK, int(now * 1000)) for seen in node_telemetry.seen(slot)]


def _chain(slot: Slot, now: float) -> ChainReport:
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
        "checkpoint_at": _at(slot.counter(counters.BLOCK_TIMESTAMP) * 1000),
        "rpc_requests": slot.counter(counters.RPC_REQUESTS),
        "rpc_requests_per_block": slot.counter(counters.REQUESTS_PER_BLOCK) / 100 or None,
        "nodes": nodes(slot, now),
        "catch_up": _catch_up(slot),
        "reason": slot.reason,
    }


def _catch_up(slot: Slot) -> CatchUp | None:
    """Return None at the head."""
    if not slot.counter(counters.CATCHING_UP):
        return None
    return {
        "blocks_per_second": slot.counter(counters.BLOCKS_PER_SECOND) / 100,
        "remaining_ms": slot.counter(counters.SECONDS_LEFT) * 1000,
    }


def _node(seen: Seen, at_work: bool, now_ms: int) -> NodeStatus:
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


def _state(seen: Seen, at_work: bool, now_ms: int) -> NodeState:
    """A node is active only while the process that follows it runs."""
    if seen.is_active and at_work:
        return "active"
    if seen.is_of_wrong_chain:
        return "wrong_chain"
    return "cooldown" if seen.cooldown_until_ms > now_ms else "standby"


def _at(ms: int | None) -> str | None:
    """RFC 3339; None if it never happened."""
    return timestamps.format_ms(ms) if ms else None
