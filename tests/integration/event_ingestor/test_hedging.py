"""Requests that also go to the next node because the first one is slow."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from hookfarm.chain.timing import LATENCIES_NEEDED
from hookfarm.devchain.embedded import RunningDevchain
from hookfarm.event_ingestor import telemetry
from hookfarm.event_ingestor.node_telemetry import NodeStatus
from tests.support.ingestor import (
    CHAIN,
    QUICK,
    TRANSPORTS,
    Published,
    RunningIngestor,
    canonical,
    running_ingestor,
    url_of,
)
from tests.support.waiting import eventually

PATIENT = replace(QUICK, request_seconds=600.0, silence_seconds=600.0)
"""No time-out helps a slow node."""


def first_node(ingestor: RunningIngestor) -> NodeStatus:
    return telemetry.report([ingestor.slot])["chains"][0]["nodes"][0]


def mine(devchain: RunningDevchain, published: Published, blocks: int) -> None:
    for _ in range(blocks):
        devchain.mine(1)
        published.wait_for(devchain)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_while_a_node_is_slow_the_next_one_answers(
    devchain: RunningDevchain, redis_url: str, published: Published, transport: str
) -> None:
    with devchain.peer() as slow:
        urls = [url_of(slow, transport), url_of(devchain, transport)]
        with running_ingestor(
            CHAIN, urls, redis_url, from_block=1, timeouts=PATIENT, hedge_percent=100.0
        ) as ingestor:
            mine(devchain, published, LATENCIES_NEEDED + 2)
            slow.set_fault("latency", method="eth_getLogs", milliseconds=600_000)
            mine(devchain, published, 5)
            node = first_node(ingestor)
            assert node["state"] == "active"
            assert node["hedged"] >= node["hedges_won"] >= 5
            slow.clear_faults()
            mine(devchain, published, 2)
        assert published.entries() == canonical(devchain)


def left_behind(other: RunningDevchain) -> None:
    other.set_fault("lag", blocks=5)


def refuses(other: RunningDevchain) -> None:
    other.set_fault("error", method="eth_getLogs")


@pytest.mark.parametrize("fault", [left_behind, refuses])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_an_answer_of_the_next_node_that_is_not_right_is_not_used(
    devchain: RunningDevchain, redis_url: str, published: Published, transport: str,
    fault: Callable[[RunningDevchain], None],
) -> None:  # fmt: skip
    with devchain.peer() as other:
        urls = [url_of(devchain, transport), url_of(other, transport)]
        with running_ingestor(
            CHAIN, urls, redis_url, from_block=1, timeouts=PATIENT, hedge_percent=100.0
        ) as ingestor:
            mine(devchain, published, LATENCIES_NEEDED + 2)
            fault(other)
            before = first_node(ingestor)
            devchain.set_fault("latency", method="eth_getLogs", milliseconds=300)

            def is_hedged() -> bool:
                mine(devchain, published, 1)
                return first_node(ingestor)["hedged"] > before["hedged"] + 1

            eventually(is_hedged, what="hedged requests")
            assert first_node(ingestor)["hedges_won"] == before["hedges_won"]
            assert first_node(ingestor)["state"] == "active"
        assert published.entries() == canonical(devchain)


def test_without_the_setting_no_request_is_hedged(
    devchain: RunningDevchain, redis_url: str, published: Published
) -> None:
    with devchain.peer() as other:
        with running_ingestor(CHAIN, [devchain.ws_url, other.ws_url], redis_url, from_block=1) as ingestor:
            mine(devchain, published, LATENCIES_NEEDED + 2)
            devchain.set_fault("latency", method="eth_getLogs", milliseconds=300)
            mine(devchain, published, 3)
            assert first_node(ingestor)["hedged"] == 0
        assert not other.stats()["methods"].get("eth_getLogs")
