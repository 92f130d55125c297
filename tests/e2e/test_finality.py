"""An endpoint that wants to know when a log is final, through the whole farm, with reorgs and kills."""

import random
import signal
import time

import pytest

from hookfarm.devchain.embedded import RunningDevchain, running_devchain
from hookfarm.store import keys
from hookfarm.store.clients import command_client
from tests.support.pipeline import (
    NOTIFY_ALL,
    Log,
    Pipeline,
    assert_drained,
    body,
    canonical_logs,
    chain_option,
    current_logs,
)
from tests.support.receivers import Received
from tests.support.waiting import eventually

SCROLL = 534_352
"""Has its own number of blocks for a tag without a block."""


def final(received: list[Received]) -> list[Log]:
    """The logs that were told to be final: each after its original, which was not taken back."""
    originals: dict[str, Log] = {}
    ended: set[str] = set()
    found: list[Log] = []
    for message in received:
        content = body(message)
        log = (content["data"]["block_hash"], content["data"]["log_index"])
        if content["type"] == "log.emitted":
            originals[message.id] = log
            continue
        assert originals[content["original"]] == log, "of something else, or before its original"
        assert content["original"] not in ended, "after the end"
        ended.add(content["original"])
        if content["type"] == "log.finalized":
            assert content["data"]["confirmations"] == "finalized"
            found.append(log)
    return found


def final_on(chain: RunningDevchain, distance: int) -> set[Log]:
    last = chain.head().number - distance
    numbers = {
        (log["blockHash"], int(log["logIndex"], 16)): int(log["blockNumber"], 16) for log in chain.canonical_logs()
    }
    return {log for log, number in numbers.items() if number <= last}


def once_each(pipeline: Pipeline) -> list[Received]:
    """What arrived, without what a killed worker's successor sent again under the same id."""
    first: dict[str, Received] = {}
    for message in list(pipeline.receiver.received):
        first.setdefault(message.id, message)
    return list(first.values())


def await_truth(pipeline: Pipeline, chain: RunningDevchain, distance: int) -> None:
    """The receiver knows exactly the canonical chain, and at least what of it is final now.

    A node is asked for its final block along with new blocks, and not with each: so some are mined meanwhile.
    """
    wanted = final_on(chain, distance)
    mined = [time.monotonic()]

    def told_final() -> bool:
        if time.monotonic() > mined[-1] + 1.0:
            chain.mine(1)
            mined.append(time.monotonic())
        return wanted <= set(final(once_each(pipeline)))

    eventually(told_final, 60.0, "the receiver knowing what is final")
    eventually(
        lambda: current_logs(others(pipeline)) == canonical_logs(chain), 30.0, "the receiver knowing the chain"
    )
    with command_client(pipeline.redis_url) as client:
        eventually(lambda: client.xlen(keys.events(chain.chain_id)) == 0, what="the stream handed off")
    assert_drained(pipeline.redis_url, chain.chain_id)
    found = final(once_each(pipeline))
    assert len(found) == len(set(found)), "final twice"
    assert set(found) <= final_on(chain, distance)


def others(pipeline: Pipeline) -> list[Received]:
    return [message for message in once_each(pipeline) if body(message)["type"] != "log.finalized"]


def test_logs_that_survive_a_reorg_are_final_and_those_that_do_not_never_are(pipeline: Pipeline) -> None:
    with running_devchain(chain_id=1350, logs_per_block=2, safe_distance=3, finalized_distance=5) as chain:
        pipeline.start(*chain_option(1350, chain.ws_url))
        pipeline.add_endpoint(1350, *NOTIFY_ALL)
        chain.mine(8)
        await_truth(pipeline, chain, 5)
        chain.reorg(4)
        chain.mine(8)
        await_truth(pipeline, chain, 5)
        assert all(message.signature_valid for message in pipeline.receiver.received)
        kinds = [body(message)["type"] for message in pipeline.receiver.received]
        assert kinds.count("log.removed") == 8
        assert kinds.count("log.finalized") >= 22


@pytest.mark.parametrize(("chain_id", "blocks"), [(1351, 64), (SCROLL, 256)])
def test_on_a_chain_without_finality_blocks_stand_for_it(pipeline: Pipeline, chain_id: int, blocks: int) -> None:
    with running_devchain(chain_id=chain_id, logs_per_block=1) as chain:
        chain.set_fault("unsupported_tags")
        pipeline.start(*chain_option(chain_id, chain.ws_url))
        pipeline.add_endpoint(chain_id, "--notify", "finalized")
        chain.mine(blocks + 6)
        wanted = final_on(chain, blocks)
        eventually(lambda: len(pipeline.receiver.received) >= len(wanted), 30, "the final logs")
        told = [body(message) for message in pipeline.receiver.received]
        assert {(each["data"]["block_hash"], each["data"]["log_index"]) for each in told} == wanted
        assert {(each["type"], each["original"]) for each in told} == {("log.finalized", None)}


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_is_killed_each_log_is_final_once_and_after_its_original(pipeline: Pipeline, seed: int) -> None:
    chance = random.Random(seed)
    with running_devchain(chain_id=1352, logs_per_block=2, safe_distance=3, finalized_distance=5) as chain:
        farm = pipeline.start(*chain_option(1352, chain.ws_url), "--processors", "2")
        pipeline.add_endpoint(1352, *NOTIFY_ALL)
        chain.mine(6)
        for _ in range(12):
            step = chance.choice(["mine", "mine", "mine", "reorg", keys.EVENT_INGESTOR, keys.MESSAGE_PROCESSOR])
            if step == "mine":
                chain.mine(chance.randint(1, 4))
            elif step == "reorg":
                chain.reorg(chance.randint(1, 4))
            else:
                victims = [child for name, child in farm.children().items() if name.startswith(step)]
                for victim in victims[:1]:
                    victim.send_signal(signal.SIGKILL)
        chain.mine(6)
        await_truth(pipeline, chain, 5)
