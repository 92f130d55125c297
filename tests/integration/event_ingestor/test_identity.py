"""Which chain a URL serves: at the connect, and in the middle of a session."""

from typing import Any

import pytest

from hookfarm.devchain.embedded import RunningDevchain
from hookfarm.event_ingestor.telemetry import report
from hookfarm.store import keys
from tests.support.ingestor import (
    CHAIN,
    TRANSPORTS,
    Published,
    RunningIngestor,
    canonical,
    running_ingestor,
    url_of,
)
from tests.support.waiting import eventually

OTHERS: dict[str, dict[str, Any]] = {
    "another chain id": {"chain_id": 5},
    "another genesis": {"seed": 2},
    "started anew": {"logs_per_block": 5},
}


def state_of_node(ingestor: RunningIngestor) -> str:
    return report([ingestor.slot])["chains"][0]["nodes"][0]["state"]


@pytest.mark.parametrize("blocks", [3, 90, 120], ids=["shorter", "as long", "longer"])
@pytest.mark.parametrize("other", OTHERS)
def test_another_chain_behind_the_url_publishes_nothing_and_takes_nothing_back(
    devchain: RunningDevchain,
    redis_url: str,
    published: Published,
    caplog: pytest.LogCaptureFixture,
    other: str,
    blocks: int,
) -> None:
    with running_ingestor(CHAIN, devchain.http_url, redis_url, from_block=1) as ingestor:
        devchain.mine(90)
        published.wait_for(devchain)
        true, checkpoint = published.entries(), published.checkpoint()
        eventually(lambda: published.heads().get("finalized") == 26, what="the finalized block")
        with devchain.replaced(**OTHERS[other]) as foreign:
            foreign.mine(blocks)
            eventually(lambda: state_of_node(ingestor) == "wrong_chain", what="the refusal")
            eventually(lambda: ingestor.stalled, what="the ingestor being stalled")
            assert f"chain {CHAIN}: {devchain.http_url} " in ingestor.slot.reason
            assert (published.entries(), published.checkpoint()) == (true, checkpoint)
            assert published.heads()["finalized"] == 26
        devchain.mine(1)
        published.wait_for(devchain)
        eventually(lambda: ingestor.up, what="the ingestor being up again")
        assert state_of_node(ingestor) == "active"
    assert published.entries() == canonical(devchain)
    assert any(record.message == "disconnected" for record in caplog.records)


def test_a_balancer_over_two_chains_publishes_nothing_of_the_other(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    with running_ingestor(CHAIN, devchain.http_url, redis_url, from_block=1):
        devchain.mine(10)
        published.wait_for(devchain)
        with devchain.replaced(alternating=True, seed=2) as foreign:
            asked = foreign.stats()["methods"]
            foreign.mine(12)
            devchain.mine(2)
            eventually(
                lambda: foreign.stats()["methods"].get("eth_getBlockByNumber", 0) >= 12,
                what=f"it being asked, beyond {asked}",
            )
        devchain.mine(1)
        published.wait_for(devchain)
    assert published.entries() == canonical(devchain)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("shown", ["block_1", "latest", "pruned"])
def test_a_chain_without_block_0_is_pinned_to_its_first_block(
    devchain: RunningDevchain, redis_url: str, published: Published, transport: str, shown: str
) -> None:
    devchain.mine(5)
    devchain.set_fault("no_block_0", shown=shown)
    first = devchain.block(1)
    assert first is not None
    for _ in range(2):
        with running_ingestor(CHAIN, url_of(devchain, transport), redis_url, from_block=1):
            devchain.mine(1)
            published.wait_for(devchain)
    assert published.client.get(keys.genesis(CHAIN)) == f"1:{first.hash}".encode()
    assert published.entries() == canonical(devchain)
    with devchain.replaced(seed=2) as foreign:
        foreign.set_fault("no_block_0", shown=shown)
        foreign.mine(9)
        with running_ingestor(CHAIN, devchain.http_url, redis_url, wait=False) as ingestor:
            ingestor.join()
        assert "has block 1 " in str(ingestor.error)


def test_a_node_without_block_0_of_a_chain_that_has_one_is_taken_for_it(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    with running_ingestor(CHAIN, devchain.ws_url, redis_url, from_block=1):
        pass
    devchain.set_fault("no_block_0", shown="pruned")
    with running_ingestor(CHAIN, devchain.ws_url, redis_url):
        devchain.mine(1)
        published.wait_for(devchain)
    assert published.entries() == canonical(devchain)
