"""Nodes with faults: nothing missed, nothing invented, and the reason said while it lasts."""

from collections.abc import Callable

import pytest

from hookfarm.devchain.library import RunningDevchain
from tests.support.ingestor import CHAIN, EVENTS, TRANSPORTS, Published, canonical, running_ingestor, url_of
from tests.support.waiting import eventually


def set_errors(devchain: RunningDevchain) -> None:
    for method in ("eth_getLogs", "eth_getBlockByNumber"):
        devchain.set_fault("error", count=3, method=method)


FAULTS: dict[str, Callable[[RunningDevchain], None]] = {
    "errors": set_errors,
    "null blocks": lambda devchain: devchain.set_fault("nulls", count=3),
    "all logs left out": lambda devchain: devchain.set_fault("omitted_logs", count=3, logs=EVENTS),
    "heads dropped": lambda devchain: devchain.set_fault("dropped_heads", count=4),
    "heads announced twice": lambda devchain: devchain.set_fault("duplicated_heads"),
    "a lagging node": lambda devchain: devchain.set_fault("lag", count=5, blocks=2),
    "connections cut": lambda devchain: devchain.set_fault("cut", count=3),
    "slow answers": lambda devchain: devchain.set_fault("latency", count=5, method="eth_getLogs", milliseconds=50),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_nothing_is_missed_or_doubled_by_a_node_with(
    devchain: RunningDevchain, redis_url: str, published: Published, transport: str, fault: str
) -> None:
    with running_ingestor(CHAIN, url_of(devchain, transport), redis_url, from_block=1) as ingestor:
        devchain.mine(3)
        published.wait_for(devchain)
        FAULTS[fault](devchain)
        for _ in range(5):
            devchain.mine(1)
        published.wait_for(devchain)
        eventually(lambda: ingestor.up, what="the ingestor being up again")
    assert published.events() == canonical(devchain)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_node_that_went_down_stalls_it_until_it_is_back(
    devchain: RunningDevchain, redis_url: str, published: Published, transport: str
) -> None:
    with running_ingestor(CHAIN, url_of(devchain, transport), redis_url) as ingestor:
        devchain.mine(1)
        published.wait_for(devchain)
        devchain.go_down()
        eventually(lambda: ingestor.stalled, what="the ingestor saying that it is stalled")
        assert f"chain {CHAIN}: {url_of(devchain, transport)}" in ingestor.slot.reason
        devchain.mine(4)
        devchain.come_up()
        eventually(lambda: ingestor.up, within=15, what="the ingestor being up again")
        published.wait_for(devchain)
    assert published.events() == canonical(devchain)


def test_a_silent_node_stalls_it_until_it_answers(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    with running_ingestor(CHAIN, devchain.ws_url, redis_url) as ingestor:
        devchain.set_fault("silence")
        devchain.mine(2)
        eventually(lambda: ingestor.stalled, within=10, what="the silence being noticed")
        assert "silent" in ingestor.slot.reason
        devchain.clear_faults()
        eventually(lambda: ingestor.up, within=20, what="the ingestor being up again")
        published.wait_for(devchain)
    assert published.events() == canonical(devchain)


def test_a_node_that_never_gives_a_block_stalls_it(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    with running_ingestor(CHAIN, devchain.ws_url, redis_url) as ingestor:
        devchain.set_fault("error", method="eth_getLogs", message="pruned")
        devchain.mine(1)
        eventually(lambda: ingestor.stalled, within=15, what="the ingestor saying that it is stalled")
        assert "pruned" in ingestor.slot.reason
        devchain.clear_faults()
        published.wait_for(devchain)
        eventually(lambda: ingestor.up, what="the ingestor being up again")
    assert published.events() == canonical(devchain)
