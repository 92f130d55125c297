"""Native transfers: from a transaction with a value to a verified webhook, and back again after a reorg."""

import random

import pytest

from hookfarm.devchain.embedded import RunningDevchain, running_devchain
from hookfarm.devchain.transaction import account, native_transfer
from tests.e2e.random_history import live_through
from tests.support.pipeline import (
    TRANSFER_KIND,
    Pipeline,
    TransferId,
    assert_drained,
    body,
    chain_option,
    transfer_id,
)
from tests.support.receivers import Received
from tests.support.transfers import canonical_transfers
from tests.support.waiting import eventually

FEW = ("--workers", "8")


def standing(received: list[Received]) -> set[TransferId]:
    """What was told of and not taken back; each removal names something of its kind that was told before it."""
    told: dict[str, tuple[str, TransferId]] = {}
    removed: set[str] = set()
    for message in received:
        content = body(message)
        kind, _, what = content["type"].partition(".")
        if what == "emitted":
            told[message.id] = (kind, transfer_id(content["data"]))
        else:
            assert what == "removed"
            assert told[content["original"]] == (kind, transfer_id(content["data"])), "before its original"
            removed.add(content["original"])
    left = [each for webhook_id, (_, each) in told.items() if webhook_id not in removed]
    assert len(left) == len(set(left)), "one of them told twice"
    return set(left)


def canonical(chain: RunningDevchain, *, logs: bool) -> set[TransferId]:
    found = {transfer_id(each) for each in canonical_transfers(chain)}
    if logs:
        found |= {(log["blockHash"], str(int(log["logIndex"], 16))) for log in chain.canonical_logs()}
    return found


def await_truth(pipeline: Pipeline, chain: RunningDevchain, *, logs: bool = False, within: float = 30.0) -> None:
    eventually(
        lambda: standing(pipeline.receiver.received) == canonical(chain, logs=logs),
        within,
        "the receiver knowing exactly the canonical chain",
    )


def test_transfers_reach_the_receiver_and_what_a_reorg_takes_back_is_taken_back(pipeline: Pipeline) -> None:
    with running_devchain(chain_id=1350, logs_per_block=1, transfers_per_block=3) as chain:
        pipeline.start(*chain_option(1350, chain.ws_url), *FEW)
        pipeline.add_endpoint(1350, *TRANSFER_KIND, event=None)
        chain.mine(6)
        await_truth(pipeline, chain)
        emitted = [body(message) for message in pipeline.receiver.received]
        by_place = {transfer_id(each): each for each in canonical_transfers(chain)}
        for message in emitted:
            data = message["data"]
            subscription = data.pop("subscription")
            assert subscription.startswith("sub_")
            assert data == {**by_place[transfer_id(data)], "event": None, "confirmations": 0}
        orphaned = {where for where, each in by_place.items() if each["block_number"] > 3}
        chain.reorg(3)
        chain.mine(1)
        await_truth(pipeline, chain)
        received = pipeline.receiver.received
        removed = [body(message)["data"] for message in received if body(message)["type"] == "transfer.removed"]
        assert {transfer_id(each) for each in removed} == orphaned
        assert all(each["removed"] for each in removed)
        assert all(message.signature_valid for message in received)
        assert_drained(pipeline.redis_url, 1350)


def test_filters_and_conditions_choose_among_them(pipeline: Pipeline) -> None:
    alice, bob = ("0x" + account(number).hex() for number in (1, 2))
    with running_devchain(chain_id=1351, logs_per_block=1) as chain:
        pipeline.start(*chain_option(1351, chain.ws_url), *FEW)
        pipeline.add_endpoint(
            1351, *TRANSFER_KIND, "--from", alice, "--to", bob, "--where", "value >= 10", event=None
        )
        ways = [(1, 2, 9), (1, 2, 10), (2, 1, 10), (1, 3, 10), (3, 2, 10), (1, 2, 10**20)]
        chain.mine_calls([native_transfer(account(sender), account(to), value) for sender, to, value in ways])
        received = pipeline.receiver.wait_for(2)
        assert_drained(pipeline.redis_url, 1351)
        assert {body(message)["data"]["value"] for message in received} == {"10", str(10**20)}
        assert len(pipeline.receiver.received) == 2


def test_what_waits_for_confirmations_when_it_is_taken_back_is_never_sent(pipeline: Pipeline) -> None:
    with running_devchain(chain_id=1352, logs_per_block=1, transfers_per_block=2) as chain:
        pipeline.start(*chain_option(1352, chain.ws_url), *FEW)
        pipeline.add_endpoint(1352, *TRANSFER_KIND, "--confirmations", "3", event=None)
        chain.mine(5)
        early = {transfer_id(each) for each in canonical_transfers(chain) if each["block_number"] <= 2}
        eventually(lambda: standing(pipeline.receiver.received) == early, 20, "the confirmed transfers")
        chain.reorg(2)
        chain.mine(4)
        last = chain.head().number - 3
        wanted = {transfer_id(each) for each in canonical_transfers(chain) if each["block_number"] <= last}
        eventually(lambda: standing(pipeline.receiver.received) == wanted, 20, "the confirmed transfers, no more")
        assert {body(message)["type"] for message in pipeline.receiver.received} == {"transfer.emitted"}


@pytest.mark.parametrize("seed", [3])
def test_reorgs_and_kills_in_any_order_leave_the_receiver_with_the_truth(pipeline: Pipeline, seed: int) -> None:
    chance = random.Random(seed)
    with running_devchain(chain_id=1353, logs_per_block=2, transfers_per_block=2) as chain:
        farm = pipeline.start(*chain_option(1353, chain.ws_url), *FEW, "--processors", "2")
        pipeline.add_endpoint(1353)
        pipeline.add_endpoint(1353, *TRANSFER_KIND, event=None)
        live_through(chain, farm, chance)
        await_truth(pipeline, chain, logs=True, within=60.0)
        assert_drained(pipeline.redis_url, 1353)
