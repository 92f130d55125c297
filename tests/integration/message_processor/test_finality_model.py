"""Random chains, processors that lag, overtake each other and die, workers that fail: the notifications of each
endpoint.

Each endpoint asks for something else. Whatever happens, it gets each notification once and in its order, and in
the end it knows the canonical chain as far as it wanted to.
"""

import random
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from hookfarm import delivery_queue
from hookfarm.chain.profiles import DEFAULT_TAG_BLOCKS
from hookfarm.delivery_queue import EntryResult
from hookfarm.delivery_queue.job import ClaimedJob
from hookfarm.matching import notifications
from hookfarm.records import Event
from hookfarm.store import keys
from tests.support.delivery import delivered, set_capacity
from tests.support.ledger import assert_ledger_invariant
from tests.support.matching import process
from tests.support.processed_chain import CHAIN, FinalChain, log

Log = tuple[str, int]
STEPS = 150
LONGEST_WAIT = 30
ASKED: dict[str, tuple[tuple[str, ...], int | str]] = {
    "ep_usual": (("emitted", "removed"), 0),
    "ep_all": (("emitted", "removed", "finalized"), 0),
    "ep_patient": (("emitted", "removed", "finalized"), 3),
    "ep_tagged": (("emitted", "removed", "finalized"), "finalized"),
    "ep_more_patient": (("emitted", "removed", "finalized"), LONGEST_WAIT),
    "ep_final": (("finalized",), 0),
    "ep_no_removals": (("emitted", "finalized"), 0),
}


class World:
    """The chain as it is, the entries that a processor has read and not enqueued, the jobs in workers' hands."""

    def __init__(self, chain: FinalChain, chance: random.Random) -> None:
        self.chain = chain
        self.chance = chance
        self.blocks: list[list[Event]] = []
        self.orphans: list[list[list[Event]]] = []
        self.final = 0
        self.read: list[list[Any]] = []
        self.hands: list[ClaimedJob] = []
        self.received: dict[str, list[dict[str, Any]]] = {name: [] for name in ASKED}
        self._branches = 0
        self._is_unread = False
        for name, (words, confirmations) in ASKED.items():
            chain.notify(*words, endpoint=name, confirmations=confirmations)

    def mine(self) -> None:
        self._branches += 1
        number, branch = len(self.blocks) + 1, f"{self._branches:04x}"
        self._extend([log(number, branch, index=i) for i in range(self.chance.randint(0, 3))])

    def reorg(self) -> None:
        """Back to some block that is not final, and on with a new one or with those once orphaned there."""
        base = self.chance.randint(self.final, len(self.blocks))
        branch = self.blocks[base:]
        self._orphan(base)
        known = [other for other in self.orphans if other and other[0] and other[0][0]["block_number"] == base + 1]
        if known and self.chance.random() < 0.7:
            for block in self.chance.choice(known):
                self._extend(block)
        else:
            self.mine()
        self.orphans.append(branch)

    def finalize(self) -> None:
        self.final = self.chance.randint(self.final, len(self.blocks))
        self._tell_heads()

    def look(self) -> None:
        """A processor reads; it may be overtaken, or die, before it hands off."""
        entries = self.chain.read() if self._is_unread else []
        self._is_unread = False
        self.chance.shuffle(entries)
        half = len(entries) // 2
        self.read += [some for some in (entries[:half], entries[half:]) if some]

    def enqueue(self) -> None:
        for _ in range(min(len(self.read), 2)):
            batch = self.read.pop(self.chance.randrange(len(self.read)))
            self._enqueue([process(self.chain.index, entry) for entry in batch])
            if self.chance.random() < 0.2:
                self.read.append(batch)

    def confirm(self) -> None:
        """A processor that may die on the way."""
        confirmed = delivery_queue.enqueue_confirmed(self.chain.connection, CHAIN, DEFAULT_TAG_BLOCKS)
        for _ in notifications.enqueue_finalized(self.chain.connection, self.chain.index, confirmed.final_blocks):
            if self.chance.random() < 0.3:
                return

    def take(self) -> None:
        if self.chain.client.llen(keys.DELIVERY_QUEUE) and len(self.hands) < 5:
            self.hands.append(self.chain.pop())

    def settle(self) -> None:
        if not self.hands:
            return
        claimed = self.hands.pop(self.chance.randrange(len(self.hands)))
        fate = self.chance.random()
        if fate < 0.2:
            self.chain.settle(
                delivery_queue.failed(claimed, claimed.with_outcome({}, attempt=claimed.attempt + 1), 0.0)
            )
        elif fate < 0.3:
            self.chain.settle(delivery_queue.returned(claimed, interrupted=True))
        else:
            self.received[claimed.endpoint].append({"id": claimed.id, **orjson.loads(claimed.body)})
            self.chain.settle(delivered(claimed))
        delivery_queue.tick(self.chain.client)

    def drain(self) -> None:
        """Everything that is under way arrives, and the chain is final up to its head."""
        for _ in range(LONGEST_WAIT):
            self._extend([])
        self.final = len(self.blocks)
        self._tell_heads()
        self.look()
        while self.read:
            self.enqueue()
        self.chain.confirm()
        self.chain.confirm()
        while self.chain.owed:
            delivery_queue.tick(self.chain.client)
            self.take()
            self.settle()

    def _extend(self, block: list[Event]) -> None:
        self.blocks.append(block)
        self._publish(block)

    def _orphan(self, base: int) -> None:
        for block in reversed(self.blocks[base:]):
            self._publish([{**event, "removed": True} for event in reversed(block)])
        del self.blocks[base:]
        self._tell_heads()

    def _publish(self, events: list[Event]) -> None:
        self.chain.publish(*events)
        self._is_unread = self._is_unread or bool(events)
        self._tell_heads()

    def _tell_heads(self) -> None:
        self.chain.head(len(self.blocks), safe=self.final, finalized=self.final)

    def _enqueue(self, handled: list[EntryResult]) -> None:
        done = delivery_queue.enqueue_results(self.chain.connection, handled)
        while done.conflicts:
            again = [h.entry for h in handled if h.entry.entry_id in done.conflicts]
            with_history = [process(self.chain.index, entry, done.conflicts[entry.entry_id]) for entry in again]
            done = delivery_queue.enqueue_results(self.chain.connection, with_history)


@pytest.fixture
def chain(client: Any, redis_url: str) -> Iterator[FinalChain]:
    set_capacity(client, 8)
    made = FinalChain(client, redis_url)
    made.index.remove("ep_1")
    yield made
    made.connection.close()


@pytest.mark.parametrize("seed", range(15))
def test_each_endpoint_gets_what_it_asked_for_once_in_order_and_to_the_end(chain: FinalChain, seed: int) -> None:
    world = World(chain, random.Random(seed))
    moves = [
        *(world.mine, world.mine, world.reorg, world.finalize, world.look, world.look, world.enqueue),
        *(world.enqueue, world.confirm, world.take, world.take, world.take, world.settle, world.settle),
    ]
    for _ in range(STEPS):
        world.chance.choice(moves)()
    assert_ledger_invariant(chain.client)
    world.drain()
    canonical = {(event["block_hash"], event["log_index"]) for block in world.blocks for event in block}
    for endpoint, (words, _) in ASKED.items():
        assert_notified(world.received[endpoint], words, canonical)
    assert not chain.client.exists(keys.FOLLOW_UPS, keys.UNCONFIRMED)
    assert chain.left() == []


def assert_notified(received: list[dict[str, Any]], words: tuple[str, ...], canonical: set[Log]) -> None:
    """Of each delivery of a log: its end, final or removed, after it; nothing twice or unasked."""
    assert len({body["id"] for body in received}) == len(received), "one delivery twice"
    notified: dict[str, Log] = {}
    ended: dict[str, str] = {}
    final: list[Log] = []
    for body in received:
        kind = body["type"].removeprefix("log.")
        where = (body["data"]["block_hash"], body["data"]["log_index"])
        assert kind in words
        if kind == "emitted":
            notified[body["id"]] = where
            continue
        if "emitted" in words:
            assert notified[body["original"]] == where, "of something else, or before its original"
            assert body["original"] not in ended, f"{kind} after {ended.get(body['original'])}"
            ended[body["original"]] = kind
        if kind == "finalized":
            final.append(where)
    if "removed" in words:
        assert sorted(notified[i] for i in notified if ended.get(i) != "removed") == sorted(canonical)
    if "finalized" in words:
        assert sorted(final) == sorted(canonical)
    if words == ("emitted", "finalized"):
        assert canonical <= set(notified.values())
