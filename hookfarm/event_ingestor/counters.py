"""The numbers an ingestor shows in its slot: the index of each counter. Those of its nodes are in nodes.py."""

import time
from collections import deque
from collections.abc import Callable

from hookfarm.chain.block import Head, Header
from hookfarm.chain.node_pool import NodeProfile
from hookfarm.event_ingestor.node_telemetry import Nodes
from hookfarm.farm.scoreboard import Slot

HEAD = 0
"""Number of the newest block the node told of."""
CHECKPOINT = 1
"""Number of the last block wholly published."""
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
"""At the tip, over the last blocks, in hundredths; 0 = not known yet."""
CATCHING_UP = 8
"""1 while far behind the head."""
BLOCKS_PER_SECOND = 9
"""While catching up, in hundredths."""
SECONDS_LEFT = 10
"""While catching up."""
EVENTS_REMOVED = 11
"""Events taken back by reorgs since the farm started."""
REORGS = 12
DEEP_REORGS = 13
"""Those that went below what was remembered."""
BLOCKS_REPAIRED = 14
"""Blocks whose logs a node left out and whose receipts it had."""

_TIP_BLOCKS = 64


class Gauges:
    """Writes them, each at its moment."""

    def __init__(self, slot: Slot, chain_id: int, clock: Callable[[], float] = time.time) -> None:
        self._slot = slot
        self._clock = clock
        self.nodes = Nodes(slot, clock)
        self._at_the_tip: deque[tuple[int, int]] = deque(maxlen=_TIP_BLOCKS)
        slot.set_counter(CHAIN_ID, chain_id)

    def requested(self) -> None:
        self._slot.add(RPC_REQUESTS)

    def asking(self, profile: NodeProfile) -> Callable[[], None]:
        """What to call before each request to a node that is watched."""

        def requested() -> None:
            self.requested()
            self.nodes.requested(profile)

        return requested

    def head(self, head: Head) -> None:
        self._slot.set_counter(HEAD, head.number)
        self._slot.set_counter(HEAD_SEEN_AT_MS, int(self._clock() * 1000))

    def checkpoint(self, number: int) -> None:
        self._slot.set_counter(CHECKPOINT, number)

    def published(self, last: Header, events: int) -> None:
        self.checkpoint(last.number)
        self._slot.set_counter(BLOCK_TIMESTAMP, last.timestamp)
        self._slot.add(EVENTS_PUBLISHED, events)

    def removed(self, events: int) -> None:
        self._slot.add(EVENTS_REMOVED, events)

    def reorg(self, deep: bool) -> None:
        self._slot.add(REORGS)
        self._slot.add(DEEP_REORGS, int(deep))
        self._at_the_tip.clear()

    def repaired(self, blocks: int) -> None:
        self._slot.set_counter(BLOCKS_REPAIRED, blocks)

    def at_the_tip(self) -> None:
        """The newest head has been published: what a block costs here counts."""
        samples = self._at_the_tip
        samples.append((self._slot.counter(CHECKPOINT), self._slot.counter(RPC_REQUESTS)))
        (first, before), (last, after) = samples[0], samples[-1]
        if last > first:
            self._slot.set_counter(REQUESTS_PER_BLOCK, 100 * (after - before) // (last - first))
        elif last < first:
            samples.clear()

    def catching_up(self, blocks_per_second: float, seconds_left: float) -> None:
        self._at_the_tip.clear()
        self._slot.set_counter(BLOCKS_PER_SECOND, int(100 * blocks_per_second))
        self._slot.set_counter(SECONDS_LEFT, int(min(seconds_left, 2**53)))
        self._slot.set_counter(CATCHING_UP, 1)

    def caught_up(self) -> None:
        for index in (CATCHING_UP, BLOCKS_PER_SECOND, SECONDS_LEFT):
            self._slot.set_counter(index, 0)
