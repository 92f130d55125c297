"""History through the command, beside what is live: each log once, and what a reorg takes back taken back."""

import random
import time
from typing import Any

from hookfarm.devchain.embedded import RunningDevchain, running_devchain
from hookfarm.event_stream import Checkpoint
from hookfarm.store import keys
from hookfarm.store.clients import command_client
from tests.support.commands import RunningCommand, running_command
from tests.support.farm_processes import hookfarm
from tests.support.pipeline import (
    LOOPBACK,
    NOTIFY_ALL,
    TRANSFER_KIND,
    Pipeline,
    TransferId,
    assert_drained,
    await_agreement,
    backfill_arguments,
    body,
    chain_option,
    transfer_id,
)
from tests.support.transfers import canonical_transfers
from tests.support.waiting import eventually


def backfill(pipeline: Pipeline, endpoint: dict[str, Any], chain: RunningDevchain, *options: str) -> str:
    """Runs it to its end; what it says."""
    said = hookfarm(
        *backfill_arguments(pipeline, endpoint["id"], chain, *options), within=120, HOOKFARM_ALLOW_PRIVATE=LOOPBACK
    )
    assert said.returncode == 0, said.stderr
    return said.stdout


def wait_for_checkpoint(redis_url: str, chain: RunningDevchain) -> None:
    head = chain.head()
    wanted = Checkpoint(head.number, head.hash).encode().encode()
    with command_client(redis_url) as client:
        eventually(lambda: client.get(keys.checkpoint(chain.chain_id)) == wanted, 60, "the head being published")


def test_an_endpoint_gets_what_happened_before_it_came_and_nothing_twice(pipeline: Pipeline) -> None:
    with running_devchain(chain_id=1350, logs_per_block=3) as chain:
        chain.mine(300)
        pipeline.start(*chain_option(1350, chain.ws_url), "--workers", "8")
        endpoint = pipeline.add_endpoint(1350)
        chain.mine(20)
        pipeline.receiver.wait_for(60, within=60)
        wait_for_checkpoint(pipeline.redis_url, chain)
        said = backfill(pipeline, endpoint, chain, "--from-block", "1")
        assert said.startswith("blocks 1 to 320: 900 matches queued, 60 skipped")
        received = pipeline.receiver.wait_for(960, within=60)
        assert_drained(pipeline.redis_url, 1350)
        assert all(message.signature_valid for message in received)
        assert len({message.id for message in received}) == len(pipeline.receiver.received) == 960
        told = [(body(message)["data"]["block_hash"], body(message)["data"]["log_index"]) for message in received]
        logs = {(log["blockHash"], int(log["logIndex"], 16)) for log in chain.canonical_logs()}
        assert set(told) == logs
        assert "already done" in backfill(pipeline, endpoint, chain, "--from-block", "1")


def test_a_reorg_takes_back_what_a_backfill_delivered(pipeline: Pipeline) -> None:
    """Of blocks, too, that the farm has never published: it came later."""
    with running_devchain(chain_id=1351, logs_per_block=3) as chain:
        chain.mine(40)
        pipeline.start(*chain_option(1351, chain.ws_url), "--workers", "8")
        endpoint = pipeline.add_endpoint(1351)
        backfill(pipeline, endpoint, chain, "--from-block", "1")
        pipeline.receiver.wait_for(120, within=60)
        chain.reorg(10)
        chain.mine(1)
        await_agreement(pipeline, chain, within=60)
        kinds = [body(message)["type"] for message in pipeline.receiver.received]
        assert kinds.count("log.removed") == 30
        assert_drained(pipeline.redis_url, 1351)


def told(pipeline: Pipeline, what: str) -> set[TransferId]:
    contents = [body(message) for message in list(pipeline.receiver.received)]
    return {transfer_id(each["data"]) for each in contents if each["type"] == f"transfer.{what}"}


def ends_told(pipeline: Pipeline) -> set[TransferId]:
    """The transfers that were told to be final, each after its original and once."""
    originals: dict[str, TransferId] = {}
    found: list[TransferId] = []
    for message in list(pipeline.receiver.received):
        content = body(message)
        if content["type"] == "transfer.emitted":
            originals[message.id] = transfer_id(content["data"])
        elif content["type"] == "transfer.finalized":
            found.append(transfer_id(content["data"]))
            assert originals[content["original"]] == found[-1], "of something else, or before its original"
    assert len(found) == len(set(found)), "final twice"
    return set(found)


def test_transfers_of_the_past_are_told_and_that_they_are_final_once_they_are(pipeline: Pipeline) -> None:
    with running_devchain(
        chain_id=1353, logs_per_block=1, transfers_per_block=2, safe_distance=3, finalized_distance=10
    ) as chain:
        chain.mine(60)
        pipeline.start(*chain_option(1353, chain.ws_url), "--workers", "8")
        endpoint = pipeline.add_endpoint(1353, *TRANSFER_KIND, *NOTIFY_ALL, event=None)
        past = canonical_transfers(chain)
        said = backfill(pipeline, endpoint, chain, "--from-block", "1")
        assert said.startswith(f"blocks 1 to 60: {len(past)} matches queued")
        orphans = {transfer_id(each) for each in past if each["block_number"] > 55}
        eventually(lambda: told(pipeline, "emitted") == set(map(transfer_id, past)), 60, "the past being told")
        chain.reorg(5)
        chain.mine(20)
        final = {transfer_id(each) for each in canonical_transfers(chain) if each["block_number"] <= 60}
        mined = [time.monotonic()]

        def all_told() -> bool:
            # A node is asked for its final block along with new blocks, and not with each.
            if time.monotonic() > mined[-1] + 1.0:
                chain.mine(1)
                mined.append(time.monotonic())
            return final <= ends_told(pipeline)

        eventually(all_told, 60, "the receiver knowing what is final")
        eventually(lambda: told(pipeline, "removed") == orphans, 60, "the orphans being taken back")
        assert not orphans & ends_told(pipeline)


def test_after_reorgs_during_a_backfill_the_receiver_knows_exactly_the_canonical_chain(pipeline: Pipeline) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    with running_devchain(chain_id=1352, logs_per_block=2) as chain:
        chain.mine(150)
        pipeline.start(*chain_option(1352, chain.ws_url), "--workers", "8")
        endpoint = pipeline.add_endpoint(1352)
        chain.set_fault("latency", method="eth_getLogs", milliseconds=30)
        chain.set_fault("refused_ranges", blocks=4)
        options = backfill_arguments(pipeline, endpoint["id"], chain, "--from-block", "1", "--to-block", "150")
        with running_command(*options, HOOKFARM_ALLOW_PRIVATE=LOOPBACK) as command:
            while command.process.poll() is None:
                stands_at = wait_until_it_moves(pipeline.redis_url, command)
                if stands_at > 60:
                    chain.reorg(chance.randint(1, 30))
                    chain.mine(chance.randint(1, 2))
            assert command.wait() == 0, command.stderr
        chain.clear_faults()
        chain.mine(1)
        await_agreement(pipeline, chain, within=60)
        assert_drained(pipeline.redis_url, 1352)


def wait_until_it_moves(redis_url: str, command: RunningCommand) -> int:
    """The block where the backfill then stands; also returns when it has ended."""
    with command_client(redis_url) as client:

        def at() -> int:
            found = next(iter(client.scan_iter(match=f"{keys.BACKFILL_STATE}*")), None)
            stored = client.hget(found, "at") if found else None
            return Checkpoint.decode(stored).number if stored else 0

        before = at()
        eventually(lambda: at() != before or command.process.poll() is not None, 60, "the backfill moving")
        return at()
