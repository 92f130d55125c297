"""Telemetry of a chain's nodes in its ingestor's slot: the active node, cooldowns with reasons, requests.

Numbers are counters of the slot; one label holds a node's origin, another its last error.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal, TypedDict

from hookfarm import timestamps
from hookfarm.chain.node_pool import FAILURE_KINDS, NodeProfile
from hookfarm.errors import WrongChain
from hookfarm.farm.scoreboard import COUNTERS, LABELS, Slot, State
from hookfarm.metrics import Family, counter, gauge
from hookfarm.security import redaction

MAX_NODES = 8
"""Max nodes with their own counters; further nodes share those of the last one."""
METHODS = (
    "eth_getBlockByHash",
    "eth_getBlockByNumber",
    "eth_getLogs",
    "eth_getBlockReceipts",
    "eth_blockNumber",
    "eth_chainId",
    "eth_subscribe",
    "other",
)
CALLS = 24
"""Calls by node and method; each call of a batch is one."""
CALLS_FAILED = CALLS + MAX_NODES * len(METHODS)
"""Failed calls by node and kind."""
REQUESTS = CALLS_FAILED + MAX_NODES * len(FAILURE_KINDS)
"""Requests by node (also the index of all counters below); a batch is one."""
FAILED_AT_MS = REQUESTS + MAX_NODES
"""Time of the last failure, Unix milliseconds; 0 = never."""
WRONG_CHAIN = FAILED_AT_MS + MAX_NODES
"""1 if the last failure was a wrong chain."""
COOLDOWN_UNTIL_MS = WRONG_CHAIN + MAX_NODES
"""End of the cooldown, Unix milliseconds."""
ACTIVE = COOLDOWN_UNTIL_MS + MAX_NODES
"""Place of the active node, from 1; 0 = no active node."""
assert ACTIVE < COUNTERS

assert 2 * MAX_NODES <= LABELS
_AT_WORK = (State.UP, State.STALLED)
NodeState = Literal["active", "standby", "cooldown", "wrong_chain"]


class NodeStatus(TypedDict):
    """JSON of a node in the status of its chain."""

    name: Annotated[str, "Scheme, host and port of its URL."]
    kind: Literal["ws", "http"]
    state: NodeState
    cooldown_until: Annotated[str | None, "null unless the node is in cooldown."]
    last_error: str
    last_error_at: str | None
    requests: Annotated[int, "Since the farm started; a batch is one."]
    calls: Annotated[int, "Since the farm started; each call of a batch is one."]
    errors: Annotated[dict[str, int], "Failed calls by kind."]


@dataclass(frozen=True)
class NodeRecord:
    """A node's fields in its ingestor's slot.

    `errors` are failed calls by kind. `failed_at_ms` is None if the node never failed.
    """

    origin: str
    is_active: bool
    is_of_wrong_chain: bool
    cooldown_until_ms: int
    failed_at_ms: int | None
    last_error: str
    requests: int
    calls: int
    errors: dict[str, int]

    @property
    def kind(self) -> Literal["ws", "http"]:
        """Return `ws` for a node that announces its blocks, `http` for a node that is polled."""
        return "ws" if self.origin.startswith("ws") else "http"


def call_counter(node: int, method: str) -> int:
    """Return the counter of a node's calls of a method; `node` is its place in the configuration."""
    return CALLS + node * len(METHODS) + METHODS.index(method if method in METHODS else "other")


def failed_call_counter(node: int, failure: str) -> int:
    """Return the counter of a node's failed calls of one of FAILURE_KINDS."""
    return CALLS_FAILED + node * len(FAILURE_KINDS) + FAILURE_KINDS.index(failure)


def origins(slot: Slot) -> list[str]:
    """Return the origins of the watched nodes, by place."""
    return [origin for origin in map(slot.label, range(MAX_NODES)) if origin]


def read(slot: Slot) -> list[NodeRecord]:
    """Return all watched nodes, by place."""
    return [
        NodeRecord(
            origin,
            slot.counter(ACTIVE) == place + 1,
            bool(slot.counter(WRONG_CHAIN + place)),
            slot.counter(COOLDOWN_UNTIL_MS + place),
            slot.counter(FAILED_AT_MS + place) or None,
            slot.label(MAX_NODES + place),
            slot.counter(REQUESTS + place),
            sum(slot.counter(call_counter(place, method)) for method in METHODS),
            {kind: slot.counter(failed_call_counter(place, kind)) for kind in FAILURE_KINDS},
        )
        for place, origin in enumerate(origins(slot))
    ]


def rows(slot: Slot, now: float) -> list[NodeStatus]:
    """Return the JSON of a chain's nodes, the preferred one first."""
    return [_row(node, slot.state in _AT_WORK, int(now * 1000)) for node in read(slot)]


def _row(node: NodeRecord, at_work: bool, now_ms: int) -> NodeStatus:
    """Return the JSON of one node."""
    return {
        "name": node.origin,
        "kind": node.kind,
        "state": _state(node, at_work, now_ms),
        "cooldown_until": time_or_none(node.cooldown_until_ms) if node.cooldown_until_ms > now_ms else None,
        "last_error": node.last_error,
        "last_error_at": time_or_none(node.failed_at_ms),
        "requests": node.requests,
        "calls": node.calls,
        "errors": node.errors,
    }


def _state(node: NodeRecord, at_work: bool, now_ms: int) -> NodeState:
    """Return the state of a node; `active` only while its ingestor runs."""
    if node.is_active and at_work:
        return "active"
    if node.is_of_wrong_chain:
        return "wrong_chain"
    return "cooldown" if node.cooldown_until_ms > now_ms else "standby"


def time_or_none(ms: int | None) -> str | None:
    """Format Unix milliseconds as RFC 3339; None for None and 0."""
    return timestamps.format_ms(ms) if ms else None


def families(prefix: str, chains: Sequence[tuple[Slot, dict[str, str]]], now: float) -> Iterable[Family]:
    """Yield the metrics of nodes; `chains` are slots with their labels."""
    nodes = [({**labels, "node": one["name"]}, one) for slot, labels in chains for one in rows(slot, now)]
    yield gauge(
        f"{prefix}_node_active",
        "1 for the active node (scheme, host and port).",
        *((labels, int(one["state"] == "active")) for labels, one in nodes),
    )
    yield gauge(
        f"{prefix}_node_cooldown",
        "1 while the node is in cooldown after a failure, or because it serves another chain.",
        *((labels, int(one["state"] in ("cooldown", "wrong_chain"))) for labels, one in nodes),
    )
    yield counter(
        f"{prefix}_node_requests",
        "Requests sent to the node; a batch is one.",
        *((labels, one["requests"]) for labels, one in nodes),
    )
    yield from _call_metrics(prefix, chains)


def _call_metrics(prefix: str, chains: Sequence[tuple[Slot, dict[str, str]]]) -> Iterable[Family]:
    """Yield the metrics of calls; methods without a call have no sample."""
    yield counter(
        f"{prefix}_rpc_calls",
        "Calls by node (scheme, host and port) and method; each call of a batch is one.",
        *(
            ({**labels, "node": node, "method": method}, slot.counter(call_counter(place, method)))
            for slot, labels in chains
            for place, node in enumerate(origins(slot))
            for method in METHODS
            if slot.counter(call_counter(place, method))
        ),
    )
    yield counter(
        f"{prefix}_rpc_errors",
        "Calls that failed: refused, rate-limited, or without a usable response.",
        *(
            ({**labels, "node": node, "kind": kind}, slot.counter(failed_call_counter(place, kind)))
            for slot, labels in chains
            for place, node in enumerate(origins(slot))
            for kind in FAILURE_KINDS
        ),
    )


class NodeCounters:
    """Writer of the counters and labels of nodes in a slot."""

    def __init__(self, slot: Slot, clock: Callable[[], float] = time.time) -> None:
        self._slot = slot
        self._clock = clock
        self._profiles: tuple[NodeProfile, ...] = ()

    def watch(self, profiles: Sequence[NodeProfile]) -> None:
        """Count the calls of these nodes, from zero unless the predecessor had the same nodes.

        The active node and the cooldowns of the predecessor are reset.
        """
        self._profiles = tuple(profiles)
        shown = [profile.origin for profile in profiles[:MAX_NODES]]
        if origins(self._slot) != shown:
            for index in range(CALLS, ACTIVE):
                self._slot.set_counter(index, 0)
            for place in range(MAX_NODES):
                self._slot.set_label(place, shown[place] if place < len(shown) else "")
                self._slot.set_label(MAX_NODES + place, "")
        for index in range(COOLDOWN_UNTIL_MS, ACTIVE + 1):
            self._slot.set_counter(index, 0)
        for profile in profiles:
            profile.on_call = partial(self._called, self._place(profile))
            profile.on_failure = partial(self._call_failed, self._place(profile))

    def requested(self, profile: NodeProfile) -> None:
        self._slot.add(REQUESTS + self._place(profile))

    def active(self, profile: NodeProfile) -> None:
        """Record that this node is the only active one."""
        place = self._place(profile)
        self._slot.set_counter(WRONG_CHAIN + place, 0)
        self._slot.set_counter(COOLDOWN_UNTIL_MS + place, 0)
        self._slot.set_counter(ACTIVE, place + 1)

    def failed(self, profile: NodeProfile, error: Exception, cooldown_seconds: float) -> None:
        """Record a node's failure and its cooldown."""
        place, now = self._place(profile), self._clock()
        if self._slot.counter(ACTIVE) == place + 1:
            self._slot.set_counter(ACTIVE, 0)
        self._slot.set_counter(WRONG_CHAIN + place, int(isinstance(error, WrongChain)))
        self._slot.set_counter(FAILED_AT_MS + place, int(now * 1000))
        self._slot.set_counter(COOLDOWN_UNTIL_MS + place, int((now + cooldown_seconds) * 1000))
        self._slot.set_label(MAX_NODES + place, _in_short(error, profile.origin))

    def _place(self, profile: NodeProfile) -> int:
        return min(self._profiles.index(profile), MAX_NODES - 1)

    def _called(self, node: int, method: str) -> None:
        self._slot.add(call_counter(node, method))

    def _call_failed(self, node: int, failure: str) -> None:
        self._slot.add(failed_call_counter(node, failure))


def _in_short(error: Exception, origin: str) -> str:
    """Return an error in ASCII, without secrets and without its leading origin."""
    parts = " ".join(redaction.sanitize(str(error)).split()).partition(f"{origin}: ")
    reason = parts[2] if parts[1] else parts[0].partition(f"{origin} ")[2] or parts[0]
    return reason.replace("…", "...").encode("ascii", "replace").decode()
