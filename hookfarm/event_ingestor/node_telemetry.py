"""Telemetry of a chain's nodes in its ingestor's slot: the active node, cooldowns with reasons, requests.

Numbers are counters of the slot; one label holds a node's origin, another its last error.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from operator import sub
from typing import Annotated, Literal, TypedDict

from hookfarm import timestamps
from hookfarm.chain.node_pool import FAILURE_KINDS, NodeProfile
from hookfarm.config import RPC_METHODS, NodeConfig
from hookfarm.errors import WrongChain
from hookfarm.farm.scoreboard import COUNTERS, LABELS, Slot, State
from hookfarm.metrics import Family, counter, gauge
from hookfarm.security import redaction

MAX_NODES = 8
"""Max nodes with their own counters; further nodes share those of the last one."""
METHODS = RPC_METHODS
CALLS = 24
"""Calls by node and method; each call of a batch is one."""
CALLS_FAILED = CALLS + MAX_NODES * len(METHODS)
"""Failed calls by node and kind."""
_BY_NODE = CALLS_FAILED + MAX_NODES * len(FAILURE_KINDS)
"""First of the counters that each node has once; they stay with the slot if the ingestor is replaced."""
REQUESTS, BYTES_SENT, BYTES_RECEIVED, UNITS, HEDGED, HEDGES_WON, FAILED_AT_MS, WRONG_CHAIN = range(
    _BY_NODE, _BY_NODE + 8 * MAX_NODES, MAX_NODES
)
"""A batch is one request. Bytes are those of JSON. HEDGED: requests also sent to another node, this one was slow.
FAILED_AT_MS: Unix milliseconds, 0 = never. WRONG_CHAIN: 1 if the last failure was a wrong chain."""
_OF_THE_PROCESS = _BY_NODE + 8 * MAX_NODES
"""The same, but a new ingestor begins with 0."""
COOLDOWN_UNTIL_MS, OVER_BUDGET, BUDGET, BUDGET_USED, PRICED, BATCH_CALLS, RANGE_BLOCKS = range(
    _OF_THE_PROCESS, _OF_THE_PROCESS + 7 * MAX_NODES, MAX_NODES
)
"""OVER_BUDGET: 1 if the cooldown lasts until the turn of the month. BUDGET: units per month, 0 = no limit.
BUDGET_USED: by all hosts. PRICED: 1 if the settings say what a call costs. The last two: learned from the node."""
MEASURES = (REQUESTS, CALLS, BYTES_SENT, BYTES_RECEIVED, UNITS)
"""What a node costs near the head, each shown per block and per day; CALLS is a sum."""
PER_BLOCK = _OF_THE_PROCESS + 7 * MAX_NODES
PER_DAY = PER_BLOCK + MAX_NODES * len(MEASURES)
"""By measure and node; per block in hundredths. COST_KNOWN: 1 once they are known."""
COST_KNOWN = PER_DAY + MAX_NODES * len(MEASURES)
ACTIVE = COST_KNOWN + 1
"""Place of the active node, from 1; 0 = no active node."""
assert ACTIVE < COUNTERS
assert 2 * MAX_NODES <= LABELS
_AT_WORK = (State.UP, State.STALLED)
NodeState = Literal["active", "standby", "cooldown", "wrong_chain", "over_budget"]
TIP_BLOCKS, _DAY_SECONDS = 64, 86_400
"""The cost is measured over so many blocks, and projected."""


class NodeCost(TypedDict):
    """What a node is used for near the head, over the last 64 blocks."""

    requests: Annotated[float, "A batch is one."]
    calls: Annotated[float, "Each call of a batch is one."]
    bytes_sent: Annotated[float, "JSON, before compression."]
    bytes_received: Annotated[float, "JSON, before compression."]
    units: Annotated[float | None, "null unless `units_per_call` is set."]


class NodeStatus(TypedDict):
    """JSON of a node in the status of its chain."""

    name: Annotated[str, "Scheme, host and port of its URL."]
    kind: Literal["ws", "http"]
    state: NodeState
    cooldown_until: Annotated[str | None, "null unless the node is in cooldown or over its budget."]
    last_error: str
    last_error_at: str | None
    requests: Annotated[int, "Since the farm started; a batch is one."]
    calls: Annotated[int, "Since the farm started; each call of a batch is one."]
    errors: Annotated[dict[str, int], "Failed calls by kind."]
    bytes_sent: Annotated[int, "JSON since the farm started, before compression."]
    bytes_received: Annotated[int, "JSON since the farm started, before compression."]
    units: Annotated[int | None, "Since the farm started; null unless `units_per_call` is set."]
    batch_calls: Annotated[int, "Max calls per batch, learned from refusals; 1 = no batches."]
    range_blocks: Annotated[int, "Blocks per range of `eth_getLogs`, learned from refusals."]
    hedged: Annotated[int, "Requests that were also sent to the next node, because this one was slow."]
    hedges_won: Annotated[int, "Those of them that the next node answered first."]
    per_block: Annotated[NodeCost | None, "Average; null until known."]
    per_day: Annotated[NodeCost | None, "Projection of the same blocks; null until known."]
    units_per_month: Annotated[int | None, "Budget; null = no limit."]
    units_this_month: Annotated[int | None, "By all hosts, in UTC; null without a budget."]


def call_counter(node: int, method: str) -> int:
    """Return the counter of a node's calls of a method; `node` is its place."""
    return CALLS + node * len(METHODS) + METHODS.index(method if method in METHODS else "other")


def failed_call_counter(node: int, failure: str) -> int:
    return CALLS_FAILED + node * len(FAILURE_KINDS) + FAILURE_KINDS.index(failure)


def origins(slot: Slot) -> list[str]:
    """Return the origins of the watched nodes, by place."""
    return [origin for origin in map(slot.label, range(MAX_NODES)) if origin]


def rows(slot: Slot, now: float) -> list[NodeStatus]:
    """Return the JSON of a chain's nodes, the preferred one first."""
    return [_row(slot, place, origin, int(now * 1000)) for place, origin in enumerate(origins(slot))]


def _row(slot: Slot, place: int, origin: str, now_ms: int) -> NodeStatus:
    """Return the JSON of one node."""
    until_ms, budget = slot.counter(COOLDOWN_UNTIL_MS + place), slot.counter(BUDGET + place)
    return {
        "name": origin,
        "kind": "ws" if origin.startswith("ws") else "http",
        "state": _state(slot, place, now_ms),
        "cooldown_until": time_or_none(until_ms) if until_ms > now_ms else None,
        "last_error": slot.label(MAX_NODES + place),
        "last_error_at": time_or_none(slot.counter(FAILED_AT_MS + place)),
        "requests": slot.counter(REQUESTS + place),
        "calls": _calls(slot, place),
        "errors": {kind: slot.counter(failed_call_counter(place, kind)) for kind in FAILURE_KINDS},
        "bytes_sent": slot.counter(BYTES_SENT + place),
        "bytes_received": slot.counter(BYTES_RECEIVED + place),
        "units": slot.counter(UNITS + place) if slot.counter(PRICED + place) else None,
        "batch_calls": slot.counter(BATCH_CALLS + place),
        "range_blocks": slot.counter(RANGE_BLOCKS + place),
        "hedged": slot.counter(HEDGED + place),
        "hedges_won": slot.counter(HEDGES_WON + place),
        "per_block": _cost(slot, PER_BLOCK, place, 100),
        "per_day": _cost(slot, PER_DAY, place, 1),
        "units_per_month": budget or None,
        "units_this_month": slot.counter(BUDGET_USED + place) if budget else None,
    }


def _state(slot: Slot, place: int, now_ms: int) -> NodeState:
    """Return the state of a node; `active` only while its ingestor runs."""
    if slot.counter(ACTIVE) == place + 1 and slot.state in _AT_WORK:
        return "active"
    if slot.counter(WRONG_CHAIN + place):
        return "wrong_chain"
    if slot.counter(COOLDOWN_UNTIL_MS + place) <= now_ms:
        return "standby"
    return "over_budget" if slot.counter(OVER_BUDGET + place) else "cooldown"


def _calls(slot: Slot, place: int) -> int:
    return sum(slot.counter(call_counter(place, method)) for method in METHODS)


def _cost(slot: Slot, first: int, place: int, divisor: int) -> NodeCost | None:
    """Return the cost of a node per block or per day; None until it is known."""
    if not slot.counter(COST_KNOWN):
        return None
    found = [slot.counter(first + index * MAX_NODES + place) / divisor for index in range(len(MEASURES))]
    requests, calls, sent, received, units = found
    priced = units if slot.counter(PRICED + place) else None
    return NodeCost(requests=requests, calls=calls, bytes_sent=sent, bytes_received=received, units=priced)


def time_or_none(ms: int | None) -> str | None:
    """Format Unix milliseconds as RFC 3339; None for None and 0."""
    return timestamps.format_ms(ms) if ms else None


_STATE_METRICS = (
    ("node_active", ("active",), "1 for the active node (scheme, host and port)."),
    (
        "node_cooldown",
        ("cooldown", "wrong_chain"),
        "1 in cooldown after a failure, or on a node of another chain.",
    ),
    ("node_over_budget", ("over_budget",), "1 while the node rests because its monthly budget is used up."),
)
_NODE_METRICS: tuple[tuple[Callable[..., Family], str, int, int | None, str], ...] = (
    (counter, "node_requests", REQUESTS, None, "Requests sent to the node; a batch is one."),
    (counter, "node_sent_bytes", BYTES_SENT, None, "Bytes of JSON sent to the node, before compression."),
    (counter, "node_received_bytes", BYTES_RECEIVED, None, "Bytes of JSON from the node, before compression."),
    (counter, "node_units", UNITS, PRICED, "Units of the calls to the node, by its `units_per_call`."),
    (gauge, "node_budget_units", BUDGET, BUDGET, "Monthly budget of the node."),
    (gauge, "node_budget_used_units", BUDGET_USED, BUDGET, "Units used in this month (UTC), by all hosts."),
    (gauge, "node_batch_calls", BATCH_CALLS, None, "Max calls per batch, learned from the node's refusals."),
    (counter, "node_hedged_requests", HEDGED, None, "Requests also sent to the next node, as this one was slow."),
    (counter, "node_hedges_won", HEDGES_WON, None, "Hedged requests that the next node answered first."),
)
"""Function, name, counter, the counter that must not be 0 for a sample, and meaning."""


def families(prefix: str, chains: Sequence[tuple[Slot, dict[str, str]]], now: float) -> Iterable[Family]:
    """Yield the metrics of nodes; `chains` are slots with their labels."""
    nodes = [({**labels, "node": one["name"]}, one) for slot, labels in chains for one in rows(slot, now)]
    for name, states, text in _STATE_METRICS:
        yield gauge(f"{prefix}_{name}", text, *((labels, int(one["state"] in states)) for labels, one in nodes))
    for make, name, index, only_if, text in _NODE_METRICS:
        yield make(
            f"{prefix}_{name}",
            text,
            *(
                ({**labels, "node": node}, slot.counter(index + place))
                for slot, labels in chains
                for place, node in enumerate(origins(slot))
                if only_if is None or slot.counter(only_if + place)
            ),
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
        self._at_the_tip: deque[tuple[float, int, list[int]]] = deque(maxlen=TIP_BLOCKS)
        """Time, checkpoint, and the totals of the measures."""

    def watch(self, profiles: Sequence[NodeProfile]) -> None:
        """Count the calls of these nodes, from zero unless the predecessor had the same nodes.

        The active node and the cooldowns of the predecessor are reset.
        """
        self._profiles = tuple(profiles)
        shown = [profile.origin for profile in profiles[:MAX_NODES]]
        if origins(self._slot) != shown:
            for index in range(CALLS, _OF_THE_PROCESS):
                self._slot.set_counter(index, 0)
            for place in range(MAX_NODES):
                self._slot.set_label(place, shown[place] if place < len(shown) else "")
                self._slot.set_label(MAX_NODES + place, "")
        for index in range(_OF_THE_PROCESS, ACTIVE + 1):
            self._slot.set_counter(index, 0)
        for profile in profiles:
            place = self._place(profile)
            profile.on_call = partial(self._called, place, profile.config)
            profile.on_failure = partial(self._call_failed, place)
            profile.on_bytes = partial(self._transferred, place)
            profile.budget.on_used = partial(self._slot.set_counter, BUDGET_USED + place)
            self._slot.set_counter(BUDGET + place, profile.config.units_per_month or 0)
            self._slot.set_counter(PRICED + place, int(bool(profile.config.units_per_call)))
            self._show_limits(profile)

    def requested(self, profile: NodeProfile) -> None:
        self._slot.add(REQUESTS + self._place(profile))
        self._show_limits(profile)

    def hedged(self, profile: NodeProfile) -> None:
        """Record that a request to this slow node was also sent to another one."""
        self._slot.add(HEDGED + self._place(profile))

    def hedge_won(self, profile: NodeProfile) -> None:
        """Record that the other node answered first."""
        self._slot.add(HEDGES_WON + self._place(profile))

    def at_the_tip(self, checkpoint: int) -> None:
        """Record that the newest head is published; the cost is measured over the last such times."""
        samples = self._at_the_tip
        samples.append((self._clock(), checkpoint, self._totals()))
        (since, first, before), (until, last, after) = samples[0], samples[-1]
        if last < first:
            samples.clear()
        elif last > first and until > since:
            for index, used in enumerate(map(sub, after, before)):
                self._slot.set_counter(PER_BLOCK + index, 100 * used // (last - first))
                self._slot.set_counter(PER_DAY + index, int(used * _DAY_SECONDS / (until - since)))
            self._slot.set_counter(COST_KNOWN, 1)

    def left_the_tip(self) -> None:
        """Begin a new measurement of the cost: requests of a catch-up or a reorg do not belong to it."""
        self._at_the_tip.clear()

    def _totals(self) -> list[int]:
        """Return the totals of each measure, all nodes of one after the other."""
        return [
            _calls(self._slot, place) if measure == CALLS else self._slot.counter(measure + place)
            for measure in MEASURES
            for place in range(MAX_NODES)
        ]

    def _show_limits(self, profile: NodeProfile) -> None:
        self._slot.set_counter(BATCH_CALLS + self._place(profile), profile.batches.calls)
        self._slot.set_counter(RANGE_BLOCKS + self._place(profile), profile.ranges.blocks)

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
        self._slot.set_counter(OVER_BUDGET + place, int(profile.budget.rest_seconds() > 0))
        self._slot.set_counter(FAILED_AT_MS + place, int(now * 1000))
        self._slot.set_counter(COOLDOWN_UNTIL_MS + place, int((now + cooldown_seconds) * 1000))
        self._slot.set_label(MAX_NODES + place, _in_short(error, profile.origin))

    def _place(self, profile: NodeProfile) -> int:
        return min(self._profiles.index(profile), MAX_NODES - 1)

    def _called(self, node: int, config: NodeConfig, method: str) -> None:
        self._slot.add(call_counter(node, method))
        self._slot.add(UNITS + node, config.units(method))

    def _transferred(self, node: int, sent: int, received: int) -> None:
        self._slot.add(BYTES_SENT + node, sent)
        self._slot.add(BYTES_RECEIVED + node, received)

    def _call_failed(self, node: int, failure: str) -> None:
        self._slot.add(failed_call_counter(node, failure))


def _in_short(error: Exception, origin: str) -> str:
    """Return an error in ASCII, without secrets and without its leading origin."""
    parts = " ".join(redaction.sanitize(str(error)).split()).partition(f"{origin}: ")
    reason = parts[2] if parts[1] else parts[0].partition(f"{origin} ")[2] or parts[0]
    return reason.replace("…", "...").encode("ascii", "replace").decode()
