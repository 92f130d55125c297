"""Several chains in one process."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import pytest

from hookfarm.chain.timing import NodeTimeouts
from hookfarm.config import ChainConfig
from hookfarm.devchain.embedded import RunningDevchain, running_devchain
from hookfarm.event_ingestor import telemetry
from hookfarm.farm.scoreboard import State
from tests.support.ingestor import EVENTS, Published, canonical, running_ingestors
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

CHAINS = (31337, 31338, 31339)
BLOCKS = 8
UNPROBED = NodeTimeouts(silence_seconds=3600.0)
"""No requests but for blocks, however slow the machine is."""


@pytest.fixture
def devchains() -> Iterator[Sequence[RunningDevchain]]:
    with ExitStack() as stack:
        yield [stack.enter_context(running_devchain(chain_id=each, logs_per_block=EVENTS)) for each in CHAINS]


@pytest.fixture
def published(redis_server: RedisServer) -> Sequence[Published]:
    return [Published(redis_server, chain_id) for chain_id in CHAINS]


def configs(devchains: Sequence[RunningDevchain]) -> list[ChainConfig]:
    return [ChainConfig(each.chain_id, (each.ws_url,)) for each in devchains]


def requests(devchain: RunningDevchain) -> int:
    return sum(devchain.stats()["requests"].values())


def test_a_block_at_the_tip_costs_each_chain_at_most_two_requests_at_its_node(
    redis_url: str, devchains: Sequence[RunningDevchain], published: Sequence[Published]
) -> None:
    with running_ingestors(configs(devchains), redis_url, from_block=1, timeouts=UNPROBED):
        before = [requests(devchain) for devchain in devchains]
        for _ in range(BLOCKS):
            for devchain, stream in zip(devchains, published, strict=True):
                devchain.mine(1)
                stream.wait_for(devchain)
        spent = [requests(devchain) - was for devchain, was in zip(devchains, before, strict=True)]
    assert all(BLOCKS <= each <= 2 * BLOCKS for each in spent), spent
    for devchain, stream in zip(devchains, published, strict=True):
        assert stream.events() == [{**each, "chain_id": devchain.chain_id} for each in canonical(devchain)]


def test_each_chain_has_its_own_slot_and_a_stalled_one_stalls_no_other(
    redis_url: str, devchains: Sequence[RunningDevchain], published: Sequence[Published]
) -> None:
    dead, *others = devchains
    with running_ingestors(configs(devchains), redis_url, from_block=1) as ingestor:
        assert [slot.counter(telemetry.CHAIN_ID) for slot in ingestor.slots] == list(CHAINS)
        dead.go_down()
        stalled, *up = ingestor.slots
        eventually(lambda: stalled.state == State.STALLED, what="the stall")
        assert stalled.reason.startswith(f"chain {dead.chain_id}: {dead.ws_url}: ")
        for devchain, stream in zip(others, published[1:], strict=True):
            devchain.mine(2)
            stream.wait_for(devchain)
        assert [slot.state for slot in up] == [State.UP, State.UP]
        assert all(slot.seconds_late() < 0 for slot in ingestor.slots)
        dead.come_up()
        dead.mine(1)
        published[0].wait_for(dead)
        eventually(lambda: ingestor.up, what="all chains being followed")


def test_a_node_of_another_chain_fails_its_chain_alone(
    redis_url: str, devchains: Sequence[RunningDevchain], published: Sequence[Published]
) -> None:
    wrong = ChainConfig(7, (devchains[0].ws_url,))
    with running_ingestors([wrong, *configs(devchains)[1:]], redis_url, from_block=1, wait=False) as ingestor:
        failed, *up = ingestor.slots
        reason = f"chain 7: {devchains[0].ws_url} serves chain {CHAINS[0]}"
        eventually(lambda: failed.state == State.STALLED and failed.reason == reason, what="the reason")
        for devchain, stream in zip(devchains[1:], published[1:], strict=True):
            devchain.mine(1)
            stream.wait_for(devchain)
        eventually(lambda: all(slot.state == State.UP for slot in up), what="the others being followed")
    assert ingestor.error is None
