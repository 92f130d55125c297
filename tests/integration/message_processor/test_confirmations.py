"""Waiting for confirmations, and retracting what was sent: the processor's side on a real server."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import orjson
import pytest

from hookfarm import delivery_queue
from hookfarm.delivery_queue.job import ClaimedJob
from hookfarm.event_stream import StreamReader
from hookfarm.matching.index import Index
from hookfarm.matching.payload import webhook_id
from hookfarm.records import Endpoint, Event, Subscription
from hookfarm.store import keys
from hookfarm.store.clients import PipelinedConnection
from tests.support.delivery import delivered, parked
from tests.support.ledger import assert_ledger_invariant
from tests.support.matching import process

CHAIN = 7
ENDPOINT = Endpoint("ep_1", "http://127.0.0.1:9/", subscriptions=(Subscription("sub_1", CHAIN),))


def log(number: int, branch: str = "a", removed: bool = False, index: int = 0) -> Event:
    return {
        "chain_id": CHAIN,
        "block_number": number,
        "block_hash": "0x" + f"{number:x}{branch}".rjust(64, "0"),
        "block_timestamp": 1_700_000_000,
        "transaction_hash": "0x" + "11" * 32,
        "transaction_index": 0,
        "log_index": index,
        "address": "0x" + "22" * 20,
        "topics": [],
        "data": "0x",
        "removed": removed,
    }


class Chain:
    """The stream, a processor's hands, and a worker's."""

    def __init__(self, client: Any, redis_url: str) -> None:
        self.client = client
        self.connection = PipelinedConnection(redis_url, delivery_queue.BLOCK_SECONDS)
        self.reader = StreamReader(self.connection, "test")
        self.reader.follow([CHAIN])
        self.index = Index()
        self.subscribe()

    def subscribe(self, confirmations: int | str = 0, endpoint: str = "ep_1") -> None:
        wanted = replace(ENDPOINT.subscriptions[0], confirmations=confirmations)
        self.index.put(replace(ENDPOINT, id=endpoint, subscriptions=(wanted,)))

    def publish(self, *events: Event) -> None:
        for event in events:
            self.client.xadd(keys.events(CHAIN), {keys.EVENT_FIELD: orjson.dumps(event)})

    def head(self, latest: int, **tags: int) -> None:
        """As an ingestor does with each block."""
        self.client.hset(keys.heads(CHAIN), mapping={"latest": latest, **tags})

    def read(self) -> list[Any]:
        self.reader.send_read()
        entries, _ = self.reader.receive()
        return entries

    def process(self, entries: list[Any] | None = None) -> None:
        """Hands off what is new, and what waits."""
        handled = [process(self.index, entry) for entry in (self.read() if entries is None else entries)]
        done = delivery_queue.enqueue_results(self.connection, handled)
        while done.conflicts:
            again = [h.entry for h in handled if h.entry.entry_id in done.conflicts]
            done = delivery_queue.enqueue_results(
                self.connection, [process(self.index, entry, done.conflicts[entry.entry_id]) for entry in again]
            )
        self.confirm()

    def confirm(self) -> int:
        return delivery_queue.enqueue_confirmed(self.connection, CHAIN).enqueued

    def pop(self) -> ClaimedJob:
        delivery_queue.send_pop(self.connection, None)
        claimed, _ = delivery_queue.read_job(self.connection)
        assert isinstance(claimed, ClaimedJob)
        return claimed

    def settle(self, settlement: delivery_queue.Settlement) -> None:
        delivery_queue.settle_sync(self.connection, settlement)

    def deliver(self) -> dict[str, Any]:
        claimed = self.pop()
        self.settle(delivered(claimed))
        body: dict[str, Any] = orjson.loads(claimed.body)
        return {"id": claimed.id, **body}

    @property
    def owed(self) -> int:
        return int(self.client.hlen(keys.JOBS))

    def waiting(self) -> int:
        return int(self.client.hlen(keys.UNCONFIRMED))


@pytest.fixture
def chain(client: Any, redis_url: str) -> Iterator[Chain]:
    client.hset(keys.ENDPOINT_LIMITS, "*", 8)
    made = Chain(client, redis_url)
    yield made
    made.connection.close()
    assert_ledger_invariant(client)


def test_a_log_waits_until_enough_blocks_stand_on_it(chain: Chain) -> None:
    chain.subscribe(confirmations=3)
    chain.publish(log(10))
    chain.head(12)
    chain.process()
    assert (chain.owed, chain.waiting()) == (0, 1)
    chain.head(13)
    assert chain.confirm() == 1
    body = chain.deliver()
    assert body["data"]["confirmations"] == 3
    assert body["id"] == webhook_id(log(10), "ep_1", "log.emitted")
    assert chain.waiting() == 0


@pytest.mark.parametrize(("tag", "instead"), [("safe", 32), ("finalized", 64)])
def test_a_log_waits_for_a_tag_or_for_blocks_instead_where_the_chain_has_none(
    chain: Chain, tag: str, instead: int
) -> None:
    chain.subscribe(confirmations=tag)
    chain.publish(log(100), log(200))
    chain.head(250, **{tag: 99})
    chain.process()
    assert chain.owed == 0
    chain.head(251, **{tag: 100})
    assert chain.confirm() == 1
    chain.client.delete(keys.heads(CHAIN))
    chain.head(199 + instead, **{f"no_{tag}": 1})
    assert chain.confirm() == 0
    chain.head(200 + instead)
    assert chain.confirm() == 1


@pytest.mark.parametrize("tag", ["safe", "finalized"])
def test_no_number_of_blocks_stands_for_a_tag_that_the_chain_may_still_tell(chain: Chain, tag: str) -> None:
    chain.subscribe(confirmations=tag)
    chain.publish(log(100))
    chain.head(1000)
    chain.process()
    assert (chain.owed, chain.waiting()) == (0, 1)
    chain.head(1000, **{tag: 100})
    assert chain.confirm() == 1


def test_a_head_does_not_count_while_something_from_before_it_is_not_handed_off(chain: Chain) -> None:
    """A withdrawal that is still in the stream must not be overtaken."""
    chain.subscribe(confirmations=1)
    chain.publish(log(10))
    chain.head(10)
    chain.process()
    chain.publish(log(10, removed=True))
    read = chain.read()
    chain.head(20)
    assert chain.confirm() == 0
    chain.process(read)
    assert (chain.owed, chain.waiting()) == (0, 0)
    assert chain.confirm() == 0


def test_a_delivered_log_is_taken_back_with_the_name_of_its_original(chain: Chain) -> None:
    chain.publish(log(10))
    chain.process()
    first = chain.deliver()
    chain.publish(log(10, removed=True))
    chain.process()
    removal = chain.deliver()
    assert (removal["type"], removal["original"], removal["data"]["original"]) == (
        "log.removed", first["id"], first["id"],
    )  # fmt: skip
    assert removal["id"] == webhook_id(log(10), "ep_1", "log.removed")
    assert removal["data"]["removed"] is True
    assert chain.owed == 0


def test_a_log_that_is_still_queued_is_never_sent(chain: Chain) -> None:
    chain.publish(*(log(10, index=i) for i in range(7)))
    chain.process()
    assert len(parked(chain.client, "ep_1")) == 3
    chain.publish(*(log(10, removed=True, index=i) for i in (5, 4, 1, 0)))
    chain.process()
    sent = [chain.deliver() for _ in range(3)]
    assert [body["data"]["log_index"] for body in sent] == [2, 3, 6]
    assert (chain.owed, chain.client.llen(keys.DELIVERY_QUEUE)) == (0, 0)


def test_a_log_in_a_workers_hands_is_taken_back_after_it(chain: Chain) -> None:
    chain.publish(log(10))
    chain.process()
    held = chain.pop()
    chain.publish(log(10, removed=True))
    chain.process()
    assert chain.client.llen(keys.DELIVERY_QUEUE) == 0, "the withdrawal overtakes its original"
    chain.settle(delivered(held))
    assert chain.deliver()["type"] == "log.removed"
    assert not chain.client.exists(keys.FOLLOW_UPS)


def test_a_log_that_was_attempted_is_taken_back_once_its_retries_are_over(chain: Chain) -> None:
    chain.publish(log(10))
    chain.process()
    held = chain.pop()
    chain.settle(delivery_queue.failed(held, held.with_outcome({}, attempt=2), 0.0))
    chain.publish(log(10, removed=True))
    chain.process()
    assert delivery_queue.tick(chain.client) == 1
    held = chain.pop()
    chain.settle(delivery_queue.failed(held, held.with_outcome({}, reason="exhausted"), None))
    assert chain.deliver()["type"] == "log.removed"


def test_a_log_that_was_interrupted_on_its_way_counts_as_sent(chain: Chain) -> None:
    chain.publish(log(10))
    chain.process()
    chain.settle(delivery_queue.returned(chain.pop(), interrupted=True))
    chain.publish(log(10, removed=True))
    chain.process()
    assert [chain.deliver()["type"] for _ in range(2)] == ["log.emitted", "log.removed"]


def test_only_notified_endpoints_are_notified_of_the_removal(chain: Chain) -> None:
    chain.publish(log(10))
    chain.process()
    chain.deliver()
    chain.subscribe(endpoint="ep_late")
    chain.publish(log(10, removed=True))
    chain.process()
    assert chain.owed == 1
    assert chain.pop().endpoint == "ep_1"


def test_an_endpoint_that_changed_its_mind_is_notified_all_the_same(chain: Chain) -> None:
    chain.publish(log(10))
    chain.process()
    chain.deliver()
    chain.index.put(replace(ENDPOINT, subscriptions=()))
    chain.publish(log(10, removed=True))
    chain.process()
    assert chain.deliver()["type"] == "log.removed"


def test_a_log_that_goes_and_comes_back_has_an_id_of_its_own_each_time(chain: Chain) -> None:
    ids = []
    for removed in (False, True, False, True, False):
        chain.publish(log(10, removed=removed))
        chain.process()
        ids.append(chain.deliver()["id"])
    assert len(set(ids)) == 5


def test_a_removal_handled_before_its_log_keeps_it_from_being_sent(chain: Chain) -> None:
    chain.publish(log(10))
    late = chain.read()
    chain.publish(log(10, removed=True))
    chain.process()
    chain.process(late)
    assert chain.owed == 0


def test_the_same_log_published_twice_is_sent_once(chain: Chain) -> None:
    chain.publish(log(10), log(10))
    chain.process()
    chain.deliver()
    chain.publish(log(10))
    chain.process()
    assert chain.owed == 0
