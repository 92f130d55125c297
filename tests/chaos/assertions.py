"""The result of a storm: which deliveries arrived, how often, and how late."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import redis

from hookfarm.delivery_queue import DEPTH_REPLIES, parse_depths, request_depths
from tests.chaos.recording import Arrival
from tests.support.delivery import PLACES
from tests.support.ledger import assert_drained
from tests.support.waiting import eventually

DRAIN_SECONDS = 10.0
"""How soon after a storm of single kills both hops are empty."""
PATIENCE_SECONDS = 60.0
"""Until what is not there counts as lost."""


@dataclass(frozen=True)
class StormResult:
    """`slowest_seconds`: the longest that a delivery was waited for, from its event being sent to its arrival, or
    from one arrival to the next of those that arrived twice."""

    produced: int
    lost: frozenset[str]
    duplicates: int
    unexpected: frozenset[str]
    """Webhook-ids that arrived and are owed to no endpoint."""
    unsigned: int
    """Arrivals whose signature was not valid."""
    slowest_seconds: float
    drained_seconds: float = 0.0
    """How long after the storm both hops were empty."""
    drain_error: AssertionError | None = None
    """How the hops differ from drained ones."""

    def assert_correct(self, deaths: int) -> None:
        """Nothing lost, nothing made up; twice arrived at most what dying processes had posted and not settled.

        Counted from outside: arrivals less distinct ids, against all the places that a process has for jobs.
        """
        if self.drain_error is not None:
            raise self.drain_error
        assert not self.lost, f"{len(self.lost)} lost: {sorted(self.lost)[:10]}"
        assert not self.unexpected, f"ids that are owed to no endpoint: {sorted(self.unexpected)[:10]}"
        assert not self.unsigned, f"{self.unsigned} without a valid signature"
        assert self.duplicates <= deaths * PLACES, f"{self.duplicates} duplicates of {deaths} deaths"


def evaluate(owed: Mapping[str, float], arrivals: Sequence[Arrival]) -> StormResult:
    """`owed`: what must arrive, and since when (monotonic)."""
    last: dict[str, float] = {}
    slowest = 0.0
    for arrival in arrivals:
        since = last.get(arrival.id, owed.get(arrival.id, arrival.at))
        slowest = max(slowest, arrival.at - since)
        last[arrival.id] = arrival.at
    return StormResult(
        produced=len(owed),
        lost=frozenset(owed.keys() - last.keys()),
        duplicates=len(arrivals) - len(last),
        unexpected=frozenset(last.keys() - owed.keys()),
        unsigned=sum(not arrival.signature_valid for arrival in arrivals),
        slowest_seconds=slowest,
    )


def await_drained(client: "redis.Redis", within: float = PATIENCE_SECONDS) -> None:
    """Both hops are empty but for dead letters, and the ledger is in order."""
    eventually(lambda: undelivered(client) == 0, within, "both hops drained")
    assert_drained(client)


def undelivered(client: "redis.Redis") -> int:
    """How many events and deliveries are still anywhere."""
    streams = list(client.scan_iter("events:*"))
    with client.pipeline(transaction=True) as pipe:
        request_depths(pipe)
        for stream in streams:
            pipe.xlen(stream)
        replies = pipe.execute()
    return parse_depths(replies).undelivered + sum(map(int, replies[DEPTH_REPLIES:]))
