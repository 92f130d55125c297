"""What a receiver knows after reorgs: every log of the canonical chain, and no other."""

import json
import random
from collections import Counter

import pytest

from hookfarm.devchain.embedded import running_devchain
from tests.e2e.random_history import live_through
from tests.support.farm_processes import hookfarm
from tests.support.pipeline import (
    Pipeline,
    assert_drained,
    await_agreement,
    body,
    chain_option,
    current_logs,
)
from tests.support.waiting import eventually


def test_what_a_reorg_takes_back_is_taken_back_from_the_receiver(pipeline: Pipeline) -> None:
    with running_devchain(chain_id=1340, logs_per_block=3) as chain:
        pipeline.start(*chain_option(1340, chain.ws_url))
        pipeline.add_endpoint(1340)
        chain.mine(6)
        pipeline.receiver.wait_for(18)
        chain.reorg(4)
        chain.mine(1)
        await_agreement(pipeline, chain)
        kinds = [body(message)["type"] for message in pipeline.receiver.received]
        assert kinds.count("log.removed") == 12
        assert all(message.signature_valid for message in pipeline.receiver.received)
        assert_drained(pipeline.redis_url, 1340)


@pytest.mark.parametrize("window", ["1d", "0s"])
def test_a_reorg_of_three_hundred_blocks_is_taken_back_from_the_receiver(pipeline: Pipeline, window: str) -> None:
    """Of its final blocks the events are no longer kept, and with the short window not even their hashes."""
    with running_devchain(chain_id=1343, logs_per_block=1) as chain:
        pipeline.start(*chain_option(1343, f"{chain.ws_url};reorg_window={window}"))
        pipeline.add_endpoint(1343)
        chain.mine(320)
        pipeline.receiver.wait_for(320)
        chain.reorg(300)
        chain.mine(1)
        await_agreement(pipeline, chain)
        [status] = json.loads(hookfarm("chains", "--json", "--redis-url", pipeline.redis_url).stdout)
        assert (status["reorgs"], status["reorgs_beyond_memory"]) == (1, int(window == "0s"))
        assert status["events_not_withdrawn"] == 0
        assert_drained(pipeline.redis_url, 1343)


def test_what_waits_for_confirmations_when_it_is_taken_back_is_never_sent(pipeline: Pipeline) -> None:
    with running_devchain(chain_id=1341, logs_per_block=2) as chain:
        pipeline.start(*chain_option(1341, chain.ws_url))
        pipeline.add_endpoint(1341, "--confirmations", "3")
        chain.mine(5)
        pipeline.receiver.wait_for(4)
        chain.reorg(2)
        chain.mine(4)
        last = chain.head().number - 3
        wanted = Counter(
            (log["blockHash"], int(log["logIndex"], 16))
            for log in chain.canonical_logs()
            if int(log["blockNumber"], 16) <= last
        )
        eventually(lambda: current_logs(pipeline.receiver.received) == wanted, what="the confirmed logs, no more")
        assert {body(message)["type"] for message in pipeline.receiver.received} == {"log.emitted"}


@pytest.mark.parametrize("seed", [1, 2])
def test_reorgs_and_kills_in_any_order_leave_the_receiver_with_the_truth(pipeline: Pipeline, seed: int) -> None:
    chance = random.Random(seed)
    with running_devchain(chain_id=1342, logs_per_block=2) as chain:
        farm = pipeline.start(*chain_option(1342, chain.ws_url), "--processors", "2")
        pipeline.add_endpoint(1342)
        live_through(chain, farm, chance)
        await_agreement(pipeline, chain, within=30.0)
        assert_drained(pipeline.redis_url, 1342)
