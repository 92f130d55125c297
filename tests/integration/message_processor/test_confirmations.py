"""Waiting for confirmations, and retracting what was sent: the processor's side on a real server."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from hookfarm import delivery_queue
from hookfarm.matching.payload import webhook_id
from hookfarm.store import keys
from tests.support.delivery import delivered, parked, set_capacity
from tests.support.ledger import assert_ledger_invariant
from tests.support.processed_chain import CHAIN, ENDPOINT, Chain, log


@pytest.fixture
def chain(client: Any, redis_url: str) -> Iterator[Chain]:
    set_capacity(client, 8)
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
