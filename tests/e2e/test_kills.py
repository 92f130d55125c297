"""Delivery processes are killed under load: every event arrives all the same."""

import contextlib
import random

import psutil

from hookfarm.devchain.embedded import running_devchain
from hookfarm.store.clients import command_client
from tests.support.delivery import PLACES, undelivered
from tests.support.ledger import assert_ledger_invariant
from tests.support.pipeline import Pipeline
from tests.support.waiting import eventually

CHAIN_ID = 7002
BLOCKS, LOGS = 60, 50
SEED = 20261122


def test_killed_workers_lose_nothing(pipeline: Pipeline) -> None:
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    with running_devchain(chain_id=CHAIN_ID, logs_per_block=LOGS) as chain:
        farm = pipeline.start("--chain", f"{CHAIN_ID}={chain.ws_url}", "--workers", "10")
        pipeline.add_endpoint(CHAIN_ID)
        kills = 0
        for block in range(BLOCKS):
            chain.mine(1)
            # In the middle of this block's deliveries, not after them.
            pipeline.receiver.wait_for(block * LOGS + 1)
            with contextlib.suppress(psutil.NoSuchProcess, IndexError):
                chance.choice(list(farm.workers().values())).kill()
                kills += 1
        wanted = BLOCKS * LOGS
        eventually(lambda: len({r.id for r in pipeline.receiver.received}) == wanted, what="every delivery")
        with command_client(pipeline.redis_url) as client:
            eventually(lambda: not undelivered(client), what="the ledger drained")
            assert_ledger_invariant(client)
        received = pipeline.receiver.received
        assert kills > BLOCKS / 2
        assert len(received) - wanted <= kills * PLACES, "more sent twice than dying workers held"
        assert all(r.signature_valid for r in received)


def test_a_killed_master_is_started_again_and_nothing_is_lost(pipeline: Pipeline) -> None:
    with running_devchain(chain_id=CHAIN_ID, logs_per_block=LOGS) as chain:
        options = ("--chain", f"{CHAIN_ID}={chain.ws_url}", "--workers", "10")
        farm = pipeline.start(*options)
        pipeline.add_endpoint(CHAIN_ID)
        for round_ in range(2):
            chain.mine(4)
            pipeline.receiver.wait_for(4 * LOGS * round_ + 10)
            farm.process.kill()
            farm.wait()
            eventually(lambda: not farm.survivors(), what="the end of the killed farm")  # noqa: B023
            chain.mine(4)
            farm = pipeline.start(*options)
        wanted = len(chain.canonical_logs())
        eventually(lambda: len({r.id for r in pipeline.receiver.received}) == wanted, what="every delivery")
        with command_client(pipeline.redis_url) as client:
            eventually(lambda: not undelivered(client), what="the ledger drained")
            assert_ledger_invariant(client)
        # Each of the ten workers may have died between its POST and its settlement, both times.
        assert len(pipeline.receiver.received) - wanted <= 2 * 10 * PLACES
