"""Telemetry of the ingestors: counters, report, metrics, and the operational event of a stalled chain."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, TypedDict

import redis

from hookfarm.chain.block import Head, Header
from hookfarm.chain.profiles import Learned
from hookfarm.config.chains import VERIFICATIONS
from hookfarm.delivery_queue import operational
from hookfarm.event_ingestor import node_telemetry
from hookfarm.event_ingestor.node_telemetry import NodeCounters, NodeStatus, time_or_none
from hookfarm.farm.scoreboard import COUNTERS, Slot, State
from hookfarm.logs import FieldLogger
from hookfarm.metrics import Family, counter, gauge
from hookfarm.outage import Outage
from hookfarm.store import keys

HEAD = 0
"""Number of the newest known block."""
CHECKPOINT = 1
"""Number of the last block published whole."""
EVENTS_PUBLISHED = 2
"""Events added to the stream since the farm started."""
HEAD_SEEN_AT_MS = 3
"""When the newest head became known, Unix milliseconds."""
BLOCK_TIMESTAMP = 4
"""Timestamp of the last block published, Unix seconds."""
RPC_REQUESTS = 5
"""Requests to nodes since the farm started; a batch is one."""
CHAIN_ID = 6
REQUESTS_PER_BLOCK = 7
"""Near the head, over the last blocks, in hundredths; 0 = not known yet."""
CATCHING_UP = 8
"""1 while far behind the head."""
BLOCKS_PER_SECOND = 9
"""While catching up, in hundredths."""
SECONDS_LEFT = 10
"""While catching up."""
EVENTS_REMOVED = 11
"""Events withdrawn by reorgs since the farm started."""
REORGS = 12
DEEP_REORGS = 13
"""Reorgs deeper than the remembered blocks."""
BLOCKS_REPAIRED = 14
"""Blocks with incomplete logs but complete receipts."""
CHAIN_DOWN = 15
"""1 while the chain is down and was the first dependency to fail."""
BLOCKS_BEYOND_BLOOM = 16
"""Blocks with logs beyond the header's bloom, on which logs and receipts agree."""
BLOCKS_RENUMBERED = 17
"""Blocks whose log indices the ingestor replaced."""

EVENTS_NOT_WITHDRAWN = 18
"""Events of replaced blocks that could not be withdrawn: their jobs and histories are gone."""

VERIFY = 22
"""Place of the chain's `verify` in VERIFICATIONS."""
LEARNED = 23
"""Place in Learned of what was learned about the chain's blooms."""
_LEARNED = tuple(Learned)
_TIP_BLOCKS = 64
STALLED_CHECK_SECONDS = 1.0

PREFIX = "event_ingestor"
_COUNTER_METRICS = {
    "events_published": (EVENTS_PUBLISHED, "Events added to the chain's stream."),
    "events_removed": (EVENTS_REMOVED, "Events withdrawn by reorgs."),
    "reorgs": (REORGS, "Reorgs followed."),
    "reorgs_beyond_memory": (DEEP_REORGS, "Reorgs deeper than the remembered blocks."),
    "events_not_withdrawn": (EVENTS_NOT_WITHDRAWN, "Events of replaced blocks that could not be withdrawn."),
    "blocks_repaired": (BLOCKS_REPAIRED, "Blocks with incomplete logs but complete receipts."),
    "blocks_beyond_bloom": (
        BLOCKS_BEYOND_BLOOM,
        "Blocks with logs beyond the header's bloom, on which logs and receipts agree.",
    ),
    "blocks_renumbered": (BLOCKS_RENUMBERED, "Blocks whose log indices were not 0 to n and were replaced."),
    "rpc_requests": (RPC_REQUESTS, "Requests sent to nodes; a batch is one."),
}
_GAUGE_METRICS = {
    "head_block": (HEAD, "Number of the newest block known."),
    "checkpoint_block": (CHECKPOINT, "Number of the last block published whole."),
    "catching_up": (CATCHING_UP, "1 while far behind the head."),
}


class IngestorCounters:
    """Writer of an ingestor's counters in its slot."""

    def __init__(
        self, slot: Slot, chain_id: int, clock: Callable[[], float] = time.time, verify: str | None = None
    ) -> None:
        """Write the counters of a chain; `verify` as in ChainConfig."""
        self._slot = slot
        self._clock = clock
        self.nodes = NodeCounters(slot, clock)
        self._at_the_tip: deque[tuple[int, int]] = deque(maxlen=_TIP_BLOCKS)
        slot.set_counter(CHAIN_ID, chain_id)
        slot.set_counter(CHAIN_DOWN, 0)
        slot.set_counter(VERIFY, VERIFICATIONS.index(verify or VERIFICATIONS[0]))
        slot.set_counter(LEARNED, 0)

    def requested(self) -> None:
        self._slot.add(RPC_REQUESTS)

    def head(self, head: Head) -> None:
        self._slot.set_counter(HEAD, head.number)
        self._slot.set_counter(HEAD_SEEN_AT_MS, int(self._clock() * 1000))

    def checkpoint(self, number: int) -> None:
        self._slot.set_counter(CHECKPOINT, number)

    def published(self, last: Header, events: int) -> None:
        self.checkpoint(last.number)
        self._slot.set_counter(BLOCK_TIMESTAMP, last.timestamp)
        self._slot.add(EVENTS_PUBLISHED, events)

    def removed(self, events: int, lost: int) -> None:
        self._slot.add(EVENTS_REMOVED, events)
        self._slot.add(EVENTS_NOT_WITHDRAWN, lost)

    def reorg(self, deep: bool) -> None:
        self._slot.add(REORGS)
        self._slot.add(DEEP_REORGS, int(deep))
        self._at_the_tip.clear()
        self.nodes.left_the_tip()

    def proofs(self, repaired: int, beyond_bloom: int, renumbered: int, learned: Learned) -> None:
        """Record the numbers of blocks that were not proven by logs and bloom alone, and what blooms prove."""
        self._slot.set_counter(LEARNED, _LEARNED.index(learned))
        self._slot.set_counter(BLOCKS_REPAIRED, repaired)
        self._slot.set_counter(BLOCKS_BEYOND_BLOOM, beyond_bloom)
        self._slot.set_counter(BLOCKS_RENUMBERED, renumbered)

    def outage(self, sources: Sequence[str]) -> None:
        """Record whether the chain is down; `sources` are the failed dependencies, the first failure first."""
        self._slot.set_counter(CHAIN_DOWN, int(sources[:1] == ("chain",)))

    def at_the_tip(self) -> None:
        """Record that the newest head is published; the requests for the next blocks are counted from here."""
        self.nodes.at_the_tip(self._slot.counter(CHECKPOINT))
        samples = self._at_the_tip
        samples.append((self._slot.counter(CHECKPOINT), self._slot.counter(RPC_REQUESTS)))
        (first, before), (last, after) = samples[0], samples[-1]
        if last > first:
            self._slot.set_counter(REQUESTS_PER_BLOCK, 100 * (after - before) // (last - first))
        elif last < first:
            samples.clear()

    def catching_up(self, blocks_per_second: float, seconds_left: float) -> None:
        self._at_the_tip.clear()
        self.nodes.left_the_tip()
        self._slot.set_counter(BLOCKS_PER_SECOND, int(100 * blocks_per_second))
        self._slot.set_counter(SECONDS_LEFT, int(min(seconds_left, 2**53)))
        self._slot.set_counter(CATCHING_UP, 1)

    def caught_up(self) -> None:
        for index in (CATCHING_UP, BLOCKS_PER_SECOND, SECONDS_LEFT):
            self._slot.set_counter(index, 0)


@dataclass(frozen=True)
class Telemetry:
    """The outputs of an ingestor: its counters, its outages and its log."""

    counters: IngestorCounters
    outage: Outage
    log: FieldLogger


class CatchUp(TypedDict):
    """Progress of a chain that is far behind its head."""

    blocks_per_second: float
    remaining_ms: int


class ChainReport(TypedDict):
    """A chain in the report of its ingestor."""

    chain_id: int
    head: Annotated[int | None, "null until a node has been reached."]
    checkpoint: Annotated[int | None, "null until a node has been reached."]
    lag_blocks: int | None
    events_published: int
    events_removed: int
    reorgs: int
    reorgs_beyond_memory: int
    events_not_withdrawn: Annotated[int, "Events of replaced blocks that could not be withdrawn."]
    blocks_repaired: Annotated[int, "Blocks with incomplete logs but complete receipts."]
    blocks_beyond_bloom: Annotated[int, "Blocks with logs beyond the bloom, on which logs and receipts agree."]
    blocks_renumbered: Annotated[int, "Blocks whose log indices were not 0 to n and were replaced."]
    verify: Annotated[str, "The chain setting `verify`."]
    blooms: Annotated[str, "What the ingestor has learned about the chain's blooms."]
    head_seen_at: str | None
    checkpoint_at: Annotated[str | None, "Time of the checkpoint's block."]
    rpc_requests: int
    rpc_requests_per_block: float | None
    nodes: list[NodeStatus]
    catch_up: CatchUp | None
    reason: str


class IngestorReport(TypedDict, total=False):
    """The ingestors' report."""

    chains: list[ChainReport]


def part(slot: Slot) -> str:
    """Return the name of the chain's ready key; "" before the slot's first ingestor has begun."""
    chain_id = slot.counter(CHAIN_ID)
    return keys.ingestor_of(chain_id) if chain_id else ""


def report(slots: Sequence[Slot], clock: Callable[[], float] = time.time) -> IngestorReport:
    """Return the ingestors' report: one entry per chain whose ingestor has begun."""
    begun = [slot for slot in slots if slot.state != State.EMPTY and slot.counter(CHAIN_ID)]
    return {"chains": [_chain(slot, clock()) for slot in begun]}


def _chain(slot: Slot, now: float) -> ChainReport:
    head, checkpoint = slot.counter(HEAD), slot.counter(CHECKPOINT)
    is_reached = slot.counter(HEAD_SEEN_AT_MS) > 0
    is_up = slot.pid != 0 and slot.state == State.UP
    return {
        "chain_id": slot.counter(CHAIN_ID),
        "head": head if is_reached else None,
        "checkpoint": checkpoint if is_reached else None,
        "lag_blocks": max(0, head - checkpoint) if is_reached else None,
        "events_published": slot.counter(EVENTS_PUBLISHED),
        "events_removed": slot.counter(EVENTS_REMOVED),
        "reorgs": slot.counter(REORGS),
        "reorgs_beyond_memory": slot.counter(DEEP_REORGS),
        "events_not_withdrawn": slot.counter(EVENTS_NOT_WITHDRAWN),
        "blocks_repaired": slot.counter(BLOCKS_REPAIRED),
        "blocks_beyond_bloom": slot.counter(BLOCKS_BEYOND_BLOOM),
        "blocks_renumbered": slot.counter(BLOCKS_RENUMBERED),
        "verify": VERIFICATIONS[slot.counter(VERIFY)],
        "blooms": str(_LEARNED[slot.counter(LEARNED)]),
        "head_seen_at": time_or_none(slot.counter(HEAD_SEEN_AT_MS)),
        "checkpoint_at": time_or_none(slot.counter(BLOCK_TIMESTAMP) * 1000),
        "rpc_requests": slot.counter(RPC_REQUESTS),
        "rpc_requests_per_block": slot.counter(REQUESTS_PER_BLOCK) / 100 or None,
        "nodes": node_telemetry.rows(slot, now),
        "catch_up": _catch_up(slot),
        "reason": "" if is_up else slot.reason or "starting",
    }


def _catch_up(slot: Slot) -> CatchUp | None:
    """Return the progress of a catch-up; None at the head."""
    if not slot.counter(CATCHING_UP):
        return None
    return {
        "blocks_per_second": slot.counter(BLOCKS_PER_SECOND) / 100,
        "remaining_ms": slot.counter(SECONDS_LEFT) * 1000,
    }


class StalledChains:
    """Keeper duty that records an operational event for each stalled chain, once per outage."""

    def __init__(self, ingestors: Sequence[Slot], recorded: Slot, first: int) -> None:
        """`recorded` keeps one counter per ingestor from `first` on, 1 = recorded; it survives the keeper."""
        self._ingestors = ingestors
        self._recorded = recorded
        self._first = first

    def perform(self, client: redis.Redis) -> None:
        for place, slot in enumerate(self._ingestors[: COUNTERS - self._first]):
            index = self._first + place
            if _is_chain_down(slot) and not self._recorded.counter(index):
                operational.record_stalled_chain(client, slot.counter(CHAIN_ID), slot.reason)
                self._recorded.set_counter(index, 1)
            elif slot.state == State.UP:
                self._recorded.set_counter(index, 0)


def _is_chain_down(slot: Slot) -> bool:
    return slot.pid != 0 and slot.state == State.STALLED and bool(slot.counter(CHAIN_DOWN))


def families(slots: Sequence[Slot], clock: Callable[[], float] = time.time) -> Iterable[Family]:
    """Yield the metrics, with a sample per chain whose nodes have been reached."""
    chains = [slot for slot in slots if slot.state != State.EMPTY and slot.counter(CHAIN_ID)]
    for name, (index, text) in _COUNTER_METRICS.items():
        yield counter(f"{PREFIX}_{name}", text, *((_labels(slot), slot.counter(index)) for slot in chains))
    for name, (index, text) in _GAUGE_METRICS.items():
        yield gauge(f"{PREFIX}_{name}", text, *((_labels(slot), slot.counter(index)) for slot in chains))
    yield gauge(
        f"{PREFIX}_up",
        "1 while the chain is followed, 0 while the chain or Redis is down.",
        *((_labels(slot), int(slot.pid != 0 and slot.state == State.UP)) for slot in chains),
    )
    yield gauge(
        f"{PREFIX}_lag_blocks",
        "Blocks between the newest known and the last published one.",
        *((_labels(slot), _lag_blocks(slot)) for slot in chains),
    )
    yield gauge(
        f"{PREFIX}_rpc_requests_per_block",
        "Requests per block near the head, over the last 64 blocks.",
        *(
            (_labels(slot), slot.counter(REQUESTS_PER_BLOCK) / 100)
            for slot in chains
            if slot.counter(REQUESTS_PER_BLOCK)
        ),
    )
    yield from _ages(chains, clock())
    yield from _catch_up_gauges(chains)
    yield from node_telemetry.families(PREFIX, [(slot, _labels(slot)) for slot in chains], clock())


def _ages(chains: Sequence[Slot], now: float) -> Iterable[Family]:
    """Yield the ages of heads and checkpoints."""
    yield gauge(
        f"{PREFIX}_lag_seconds",
        "Age of the last published block, by its timestamp.",
        *(
            (_labels(slot), max(0.0, round(now - slot.counter(BLOCK_TIMESTAMP), 3)))
            for slot in chains
            if slot.counter(BLOCK_TIMESTAMP)
        ),
    )
    yield gauge(
        f"{PREFIX}_head_age_seconds",
        "Time since the newest block became known.",
        *(
            (_labels(slot), max(0.0, round(now - slot.counter(HEAD_SEEN_AT_MS) / 1000, 3)))
            for slot in chains
            if slot.counter(HEAD_SEEN_AT_MS)
        ),
    )


def _catch_up_gauges(chains: Sequence[Slot]) -> Iterable[Family]:
    """Yield the progress of chains that are far behind their heads."""
    behind = [slot for slot in chains if slot.counter(CATCHING_UP)]
    yield gauge(
        f"{PREFIX}_catch_up_blocks_per_second",
        "Speed of the catch-up of a chain far behind its head.",
        *((_labels(slot), slot.counter(BLOCKS_PER_SECOND) / 100) for slot in behind),
    )
    yield gauge(
        f"{PREFIX}_catch_up_seconds_left",
        "Time left of the catch-up at the current speed.",
        *((_labels(slot), slot.counter(SECONDS_LEFT)) for slot in behind),
    )


def _labels(slot: Slot) -> dict[str, str]:
    return {"chain_id": str(slot.counter(CHAIN_ID))}


def _lag_blocks(slot: Slot) -> int:
    return max(0, slot.counter(HEAD) - slot.counter(CHECKPOINT))
