"""Chains that are not followed any more, noted once for each time that it happens."""

from collections.abc import Sequence

import redis

from hookfarm.delivery_queue import operational
from hookfarm.event_ingestor import counters
from hookfarm.farm.scoreboard import COUNTERS, Slot, State

EVERY_SECONDS = 1.0
_OF_A_CHAIN = "chain "
"""How an ingestor's reason begins where its chain is missing, not Redis."""


class Stalls:
    """A duty of the keeper. What was noted stands in a slot of its own, so that its successor knows it too."""

    def __init__(self, ingestors: Sequence[Slot], told: Slot, first: int) -> None:
        """`told`: the keeper's slot, whose counters from `first` on are 1 for each chain that was noted."""
        self._ingestors = ingestors
        self._told = told
        self._first = first

    def perform(self, client: "redis.Redis") -> None:
        for place, slot in enumerate(self._ingestors[: COUNTERS - self._first]):
            index = self._first + place
            if _stalled(slot) and not self._told.counter(index):
                operational.record_stalled_chain(client, slot.counter(counters.CHAIN_ID), slot.reason)
                self._told.set_counter(index, 1)
            elif slot.state == State.UP:
                self._told.set_counter(index, 0)


def _stalled(slot: Slot) -> bool:
    return slot.pid != 0 and slot.state == State.STALLED and slot.reason.startswith(_OF_A_CHAIN)
