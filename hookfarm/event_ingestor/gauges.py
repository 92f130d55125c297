"""The numbers an ingestor shows in its slot: the index of each counter."""

import time
from collections.abc import Callable

from hookfarm.chain.block import Head, Header
from hookfarm.farm.board import Slot

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
"""Requests to nodes since the farm started."""
CHAIN_ID = 6


class Gauges:
    """Writes them, each at its moment."""

    def __init__(self, slot: Slot, chain_id: int, clock: Callable[[], float] = time.time) -> None:
        self._slot = slot
        self._clock = clock
        slot.set_counter(CHAIN_ID, chain_id)

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
