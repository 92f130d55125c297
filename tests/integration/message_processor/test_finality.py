"""`notify`: the notifications of a log, its finality included; the processor's side on a real server."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import orjson
import pytest

from hookfarm import delivery_queue
from hookfarm.chain.profiles import DEFAULT_TAG_BLOCKS
from hookfarm.delivery_queue.job import ClaimedJob
from hookfarm.matching import notifications
from hookfarm.matching.payload import webhook_id
from hookfarm.records import Subscription
from hookfarm.store import keys
from tests.support.delivery import delivered, set_capacity
from tests.support.ledger import assert_ledger_invariant
from tests.support.processed_chain import ALL, CHAIN, ENDPOINT, FinalChain, log


@pytest.fixture
def chain(client: Any, redis_url: str) -> Iterator[FinalChain]:
    set_capacity(client, 8)
    made = FinalChain(client, redis_url)
    made.notify(*ALL)
    yield made
    made.connection.close()
    assert_ledger_invariant(client)


def block(number: int) -> str:
    return f"{CHAIN}:{log(number)['block_hash']}"


def test_an_endpoint_is_notified_of_a_final_log_once_its_block_is_final(chain: FinalChain) -> None:
    chain.feed(log(10))
    first = chain.deliver()
    chain.final(9)
    assert chain.owed == 0
    chain.final(10)
    last = chain.deliver()
    assert last["type"] == "log.finalized"
    assert last["id"] == webhook_id(log(10), "ep_1", "log.finalized")
    assert last["original"] == last["data"]["original"] == first["id"]
    changed = {"original": first["id"], "confirmations": "finalized"}
    assert last["data"] == {**first["data"], **changed}
    assert last["timestamp"] == first["timestamp"]


def test_a_transfer_is_finalized_as_a_log_is(chain: FinalChain) -> None:
    wanted = Subscription("sub_t", CHAIN, kind="transfer", notify=ALL)
    chain.index.put(replace(ENDPOINT, id="ep_1", subscriptions=(wanted,)))
    of_a_log = log(10)
    moved = {name: of_a_log[name] for name in ("chain_id", "block_number", "block_hash", "block_timestamp")}
    parties = {"from": f"0x{'11' * 20}", "to": f"0x{'22' * 20}", "value": "5"}
    transaction = {"transaction_hash": f"0x{'ab' * 32}", "transaction_index": 3}
    chain.feed({"kind": "transfer", **moved, **transaction, **parties, "removed": False})
    first = chain.deliver()
    chain.final(10)
    last = chain.deliver()
    assert (first["type"], last["type"]) == ("transfer.emitted", "transfer.finalized")
    assert last["original"] == first["id"]
    assert chain.left() == []


def test_where_the_nodes_know_no_final_block_it_is_the_one_64_below_the_head(chain: FinalChain) -> None:
    chain.feed(log(10))
    chain.deliver()
    chain.head(73, no_finalized=1)
    assert chain.confirm() == 0
    chain.head(74)
    assert chain.confirm() == 1
    assert chain.deliver()["type"] == "log.finalized"


def test_finalized_is_sent_once_however_often_the_log_and_its_finality_are_seen(chain: FinalChain) -> None:
    chain.feed(log(10))
    chain.final(10)
    for _ in range(3):
        chain.feed(log(10))
        chain.final(11)
    assert chain.drain() == ["log.emitted", "log.finalized"]
    assert chain.left() == []


def test_a_log_that_was_taken_back_is_never_final(chain: FinalChain) -> None:
    chain.feed(log(10))
    chain.deliver()
    chain.feed(log(10, removed=True))
    chain.feed(log(10, branch="b"))
    chain.final(10)
    notified = [chain.deliver() for _ in range(3)]
    assert [body["type"] for body in notified] == ["log.removed", "log.emitted", "log.finalized"]
    assert notified[2]["original"] == notified[1]["id"]
    assert (chain.owed, chain.left()) == (0, [])


def test_a_withdrawal_still_in_the_stream_is_not_overtaken(chain: FinalChain) -> None:
    chain.feed(log(10))
    chain.deliver()
    chain.publish(log(10, removed=True))
    read = chain.read()
    chain.final(20)
    assert chain.owed == 0
    chain.process(read)
    assert chain.drain() == ["log.removed"]


def test_a_log_that_comes_back_is_final_under_an_id_of_its_own(chain: FinalChain) -> None:
    for removed in (False, True, False):
        chain.feed(log(10, removed=removed))
    chain.final(10)
    bodies = [chain.deliver() for _ in range(chain.owed)]
    bodies += [chain.deliver() for _ in range(chain.owed)]
    [last] = [body for body in bodies if body["type"] == "log.finalized"]
    assert last["id"] == webhook_id(log(10), "ep_1", "log.finalized", 1)
    assert last["original"] == webhook_id(log(10), "ep_1", "log.emitted", 1)


def test_an_original_in_a_workers_hands_goes_first(chain: FinalChain) -> None:
    chain.feed(log(10))
    held = chain.pop()
    chain.final(10)
    assert chain.client.llen(keys.DELIVERY_QUEUE) == 0, "the end overtakes the beginning"
    chain.settle(delivered(held))
    assert chain.deliver()["type"] == "log.finalized"
    assert not chain.client.exists(keys.FOLLOW_UPS)


def test_an_original_that_is_tried_again_goes_first_and_a_dead_one_is_over(chain: FinalChain) -> None:
    chain.feed(log(10))
    held = chain.pop()
    chain.settle(delivery_queue.failed(held, held.with_outcome({}, attempt=2), 0.0))
    chain.final(10)
    assert delivery_queue.tick(chain.client) == 1
    held = chain.pop()
    assert held.attempt == 2
    chain.settle(delivery_queue.failed(held, held.with_outcome({}, reason="exhausted"), None))
    assert chain.deliver()["type"] == "log.finalized"


def test_an_original_that_is_dead_already_is_waited_for_no_longer(chain: FinalChain) -> None:
    chain.feed(log(10))
    held = chain.pop()
    chain.settle(delivery_queue.failed(held, held.with_outcome({}, reason="exhausted"), None))
    chain.final(10)
    assert chain.deliver()["type"] == "log.finalized"


@pytest.mark.parametrize("confirmations", [3, 20, "safe", "finalized"])
def test_confirmations_and_finality_are_both_waited_for_in_order(
    chain: FinalChain, confirmations: int | str
) -> None:
    chain.notify(*ALL, confirmations=confirmations)
    chain.feed(log(10))
    chain.final(10)
    chain.head(30, safe=20, finalized=20)
    chain.confirm()
    first, last = chain.deliver(), chain.deliver()
    assert (first["type"], first["data"]["confirmations"]) == ("log.emitted", confirmations)
    assert (last["type"], last["original"]) == ("log.finalized", first["id"])
    assert (chain.owed, chain.waiting(), chain.left()) == (0, 0, [])


def test_a_final_log_that_still_waits_for_confirmations_can_be_taken_back_unsent(chain: FinalChain) -> None:
    chain.notify(*ALL, confirmations=50)
    chain.feed(log(10))
    chain.final(10)
    chain.feed(log(10, removed=True))
    chain.head(100, safe=90, finalized=90)
    chain.confirm()
    assert (chain.owed, chain.waiting(), chain.left()) == (0, 0, [])
    assert not chain.client.exists(keys.FOLLOW_UPS)


def test_an_endpoint_may_ask_for_final_logs_alone(chain: FinalChain) -> None:
    chain.notify("finalized")
    chain.feed(log(10), log(11))
    assert chain.owed == 0
    chain.feed(log(11, removed=True))
    chain.final(11)
    body = chain.deliver()
    assert (body["type"], body["original"], body["data"]["original"]) == ("log.finalized", None, None)
    assert body["data"]["block_number"] == 10
    assert (chain.owed, chain.left()) == (0, [])


@pytest.mark.parametrize(
    ("notify", "notified"), [(("finalized",), []), (("removed", "finalized"), ["log.removed"])]
)
def test_a_final_log_that_a_reorg_takes_back_all_the_same(
    chain: FinalChain, notify: tuple[str, ...], notified: list[str]
) -> None:
    """A chain without finality of its own may do that."""
    chain.notify(*notify)
    chain.feed(log(10))
    chain.final(10)
    final = chain.deliver()
    chain.feed(log(10, removed=True))
    assert chain.owed == len(notified)
    if notified:
        assert chain.deliver()["original"] == final["id"]


def test_a_removal_follows_the_original_and_what_said_that_it_was_final(chain: FinalChain) -> None:
    chain.feed(log(10))
    first = chain.deliver()
    chain.final(10)
    held = chain.pop()
    chain.feed(log(10, removed=True))
    assert chain.client.llen(keys.DELIVERY_QUEUE) == 0
    chain.settle(delivered(held))
    removal = chain.deliver()
    assert (removal["type"], removal["original"]) == ("log.removed", first["id"])


def test_a_removal_takes_the_place_of_what_would_have_said_that_the_log_is_final(chain: FinalChain) -> None:
    chain.feed(log(10))
    held = chain.pop()
    chain.final(10)
    chain.feed(log(10, removed=True))
    chain.settle(delivered(held))
    assert chain.drain() == ["log.removed"]


def test_what_says_that_a_log_is_final_is_not_sent_any_more_once_it_was_taken_back(chain: FinalChain) -> None:
    chain.feed(log(10))
    chain.deliver()
    chain.final(10)
    chain.feed(log(10, removed=True))
    assert chain.drain() == ["log.removed"]


@pytest.mark.parametrize("notify", [("emitted",), ("emitted", "finalized")])
def test_an_endpoint_that_wants_no_removals_is_sent_none(chain: FinalChain, notify: tuple[str, ...]) -> None:
    chain.notify(*notify)
    chain.feed(log(10), log(11), log(12))
    chain.deliver()
    held = chain.pop()
    chain.final(11)
    chain.feed(*(log(number, removed=True) for number in (12, 11, 10)))
    chain.settle(delivered(held))
    assert (chain.owed, chain.client.exists(keys.FOLLOW_UPS)) == (0, 0)


def test_a_log_is_kept_once_for_all_who_wait_for_it(chain: FinalChain) -> None:
    for number in range(20):
        chain.notify(*ALL, endpoint=f"ep_{number}")
    chain.feed(log(10))
    [kept] = chain.client.hvals(keys.UNFINALIZED_LOGS + block(10))
    assert len(kept) < 200
    chain.drain()
    chain.final(10)
    assert chain.drain() == ["log.finalized"] * 20


def test_who_does_not_ask_for_finality_leaves_nothing_waiting(chain: FinalChain) -> None:
    chain.subscribe()
    chain.feed(log(10))
    assert chain.left() == []
    assert 0 < chain.client.ttl(keys.HISTORY + block(10)) <= 86_400


@pytest.mark.parametrize("confirmations", [0, 5])
def test_the_history_is_kept_until_the_block_is_final_and_for_a_day(chain: FinalChain, confirmations: int) -> None:
    if confirmations:
        chain.subscribe(confirmations=confirmations)
    chain.feed(log(10))
    chain.feed(log(10, index=1, removed=True))
    assert chain.client.ttl(keys.HISTORY + block(10)) == -1, "forgotten before a chain of slow finality is final"
    chain.final(15)
    assert chain.left() == []
    assert 0 < chain.client.ttl(keys.HISTORY + block(10)) <= 86_400


def test_many_logs_of_one_block_are_finalized_in_batches(chain: FinalChain) -> None:
    chain.feed(*(log(10, index=i) for i in range(250)))
    chain.drain()
    chain.head(20, finalized=10)
    [final] = delivery_queue.enqueue_confirmed(chain.connection, CHAIN, DEFAULT_TAG_BLOCKS).final_blocks
    assert list(notifications.enqueue_finalized(chain.connection, chain.index, [final])) == [100, 100, 50]
    assert chain.drain() == ["log.finalized"] * 250
    assert chain.left() == []


def test_a_processor_that_dies_half_way_leaves_the_rest_to_the_next(chain: FinalChain) -> None:
    chain.feed(*(log(10, index=i) for i in range(150)))
    chain.drain()
    chain.head(20, finalized=10)
    confirmed = delivery_queue.enqueue_confirmed(chain.connection, CHAIN, DEFAULT_TAG_BLOCKS)
    next(notifications.enqueue_finalized(chain.connection, chain.index, confirmed.final_blocks))
    chain.read_final(block(10))
    chain.confirm()
    assert chain.drain() == ["log.finalized"] * 150
    assert chain.left() == []


def test_when_redis_lost_its_last_writes_finalized_is_sent_again_under_the_same_id(chain: FinalChain) -> None:
    chain.feed(log(10))
    chain.deliver()
    kept = {key: chain.client.dump(key) for key in chain.client.scan_iter()}
    chain.final(10)
    last = chain.deliver()
    chain.client.flushall()
    for key, dumped in kept.items():
        chain.client.restore(key, 0, dumped)
    chain.final(10)
    assert chain.deliver() == last
    chain.final(11)
    assert (chain.owed, chain.left()) == (0, [])


def test_two_processors_at_the_same_block_tell_of_it_once(chain: FinalChain) -> None:
    chain.feed(log(10))
    chain.deliver()
    one, other = chain.read_final(block(10)), chain.read_final(block(10))
    assert delivery_queue.finalize(chain.connection, block(10), one) == 1
    assert delivery_queue.finalize(chain.connection, block(10), other) == 0
    assert chain.drain() == ["log.finalized"]


@pytest.mark.parametrize("comes_back", [False, True])
def test_a_log_that_is_taken_back_while_it_is_made_final_is_not(chain: FinalChain, comes_back: bool) -> None:
    chain.feed(log(10))
    chain.deliver()
    read = chain.read_final(block(10))
    chain.feed(log(10, removed=True))
    if comes_back:
        chain.feed(log(10))
    assert delivery_queue.finalize(chain.connection, block(10), read) == 0
    assert set(chain.drain()) == {"log.removed"} | ({"log.emitted"} if comes_back else set())
    assert bool(chain.left()) == comes_back


def test_an_endpoint_that_joins_later_gets_finalized_and_the_others_not_again(chain: FinalChain) -> None:
    chain.feed(log(10))
    chain.final(10)
    chain.drain()
    chain.notify(*ALL, endpoint="ep_late")
    chain.feed(log(10))
    chain.final(11)
    held = [chain.pop()]
    chain.settle(delivered(held[0]))
    held.append(chain.pop())
    chain.settle(delivered(held[1]))
    assert [(claimed.endpoint, orjson.loads(claimed.body)["type"]) for claimed in held] == [
        ("ep_late", "log.emitted"), ("ep_late", "log.finalized"),
    ]  # fmt: skip
    assert chain.owed == 0


def test_an_endpoint_that_changed_its_mind_gets_what_it_asked_for_then(chain: FinalChain) -> None:
    chain.feed(log(10))
    chain.deliver()
    chain.index.put(replace(ENDPOINT, subscriptions=()))
    chain.final(10)
    body = chain.deliver()
    assert (body["type"], body["data"]["event"]) == ("log.finalized", None)


def test_garbage_in_the_place_of_a_stored_log_holds_up_nothing(
    chain: FinalChain, caplog: pytest.LogCaptureFixture
) -> None:
    chain.feed(log(10), log(10, index=1))
    chain.drain()
    chain.client.hset(keys.UNFINALIZED_LOGS + block(10), "1", b"garbage")
    chain.final(10)
    assert chain.drain() == ["log.finalized"]
    assert chain.left() == []
    assert "stored log cannot be read" in caplog.text


def test_an_older_server_that_never_said_what_to_tell_means_emitted_and_removed(chain: FinalChain) -> None:
    chain.feed(log(10))
    chain.deliver()
    chain.client.hset(keys.HISTORY + block(10), "0", "1-0 + 0 ep_1:sub_1")
    chain.feed(log(10, removed=True))
    removal = chain.pop()
    assert isinstance(removal, ClaimedJob)
    assert orjson.loads(removal.body)["type"] == "log.removed"
    chain.settle(delivered(removal))
