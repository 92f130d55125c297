"""Where chains stand and what their nodes were asked, as metrics."""

from collections.abc import Sequence

import pytest

from hookfarm.chain.block import Head
from hookfarm.chain.node_pool import NodePool, NodeProfile
from hookfarm.event_ingestor import node_telemetry, telemetry
from hookfarm.event_ingestor.telemetry import IngestorCounters
from hookfarm.farm.scoreboard import Scoreboard, Slot, State
from hookfarm.metrics import Sample
from tests.support.chain_samples import header

NOW = 1_700_000_100.0
URLS = ("wss://one.example/v2/canary", "https://user:canary@two.example:8545/?key=canary")


@pytest.fixture
def slot() -> Slot:
    [made] = Scoreboard({"event_ingestor": 1}).slots("event_ingestor")
    made.on_forked(1)
    made.state = State.UP
    return made


def watched_nodes(*urls: str) -> Sequence[NodeProfile]:
    return NodePool(urls).all


def told(slot: Slot) -> dict[str, Sequence[Sample]]:
    return {family.name: family.samples for family in telemetry.families([slot], clock=lambda: NOW)}


def test_lag_is_told_in_blocks_and_seconds(slot: Slot) -> None:
    numbers = IngestorCounters(slot, 10, clock=lambda: NOW - 3)
    numbers.head(Head(9))
    numbers.published(header(7), events=3)
    chain, found = {"chain_id": "10"}, told(slot)
    assert found["event_ingestor_lag_blocks"] == (Sample(chain, 2),)
    assert found["event_ingestor_lag_seconds"] == (Sample(chain, NOW - header(7).timestamp),)
    assert found["event_ingestor_head_age_seconds"] == (Sample(chain, 3.0),)
    assert found["event_ingestor_events_published"] == (Sample(chain, 3),)
    assert found["event_ingestor_up"] == (Sample(chain, 1),)


def test_before_the_first_block_there_is_no_age(slot: Slot) -> None:
    IngestorCounters(slot, 10)
    found = told(slot)
    assert found["event_ingestor_lag_seconds"] == found["event_ingestor_head_age_seconds"] == ()


def test_what_a_block_costs_is_told_once_it_is_known(slot: Slot) -> None:
    numbers = IngestorCounters(slot, 10)
    assert told(slot)["event_ingestor_rpc_requests_per_block"] == ()
    for number in range(3):
        numbers.requested()
        numbers.checkpoint(number)
        numbers.at_the_tip()
    assert told(slot)["event_ingestor_rpc_requests_per_block"] == (Sample({"chain_id": "10"}, 1.0),)


def test_a_chain_that_catches_up_tells_how_fast_and_for_how_long(slot: Slot) -> None:
    numbers, chain = IngestorCounters(slot, 10), {"chain_id": "10"}
    numbers.catching_up(12.5, 65.0)
    assert told(slot)["event_ingestor_catch_up_blocks_per_second"] == (Sample(chain, 12.5),)
    assert told(slot)["event_ingestor_catch_up_seconds_left"] == (Sample(chain, 65),)
    numbers.caught_up()
    assert told(slot)["event_ingestor_catch_up_seconds_left"] == ()


def test_a_chain_that_was_never_reached_is_not_told(slot: Slot) -> None:
    assert not any(told(slot).values())


def test_calls_and_errors_are_told_by_node_without_what_is_secret_in_its_url(slot: Slot) -> None:
    one, two = watched_nodes(*URLS)
    IngestorCounters(slot, 10).nodes.watch([one, two])
    for method in ("eth_getLogs", "eth_getLogs", "eth_chainId", "zks_strange"):
        one.on_call(method)
    two.on_call("eth_getLogs")
    two.on_failure("rate_limited")
    found = told(slot)
    calls = {
        (sample.labels["node"], sample.labels["method"]): sample.value
        for sample in found["event_ingestor_rpc_calls"]
    }
    assert calls == {
        ("wss://one.example", "eth_getLogs"): 2,
        ("wss://one.example", "eth_chainId"): 1,
        ("wss://one.example", "other"): 1,
        ("https://two.example:8545", "eth_getLogs"): 1,
    }
    errors = {(s.labels["node"], s.labels["kind"]): s.value for s in found["event_ingestor_rpc_errors"]}
    assert errors.pop(("https://two.example:8545", "rate_limited")) == 1
    assert set(errors.values()) == {0}
    assert "canary" not in str(found)


def test_two_keys_of_one_provider_are_one_node(slot: Slot) -> None:
    first, second = watched_nodes("https://one.example/key1", "https://one.example/key2")
    IngestorCounters(slot, 10).nodes.watch([first, second])
    first.on_call("eth_getLogs")
    second.on_call("eth_getLogs")
    [calls] = told(slot)["event_ingestor_rpc_calls"]
    assert calls.value == 2


def test_a_successor_with_the_same_nodes_counts_on_and_with_others_begins_anew(slot: Slot) -> None:
    for urls, expected in ((URLS, 1), (URLS, 2), (URLS[::-1], 1)):
        watched = watched_nodes(*urls)
        IngestorCounters(slot, 10).nodes.watch(watched)
        watched[0].on_call("eth_getLogs")
        [calls] = told(slot)["event_ingestor_rpc_calls"]
        assert calls.value == expected


def test_more_nodes_than_there_is_room_for_count_with_the_last(slot: Slot) -> None:
    watched = watched_nodes(
        *(f"https://node-{number}-{'x' * 60}.example/" for number in range(node_telemetry.MAX_NODES + 2))
    )
    IngestorCounters(slot, 10).nodes.watch(watched)
    for node in watched:
        node.on_call("eth_getLogs")
    values = [sample.value for sample in told(slot)["event_ingestor_rpc_calls"]]
    assert values == [1] * (node_telemetry.MAX_NODES - 1) + [3]
