"""What a slot shows of a chain's nodes, and what the status tells of them."""

from collections.abc import Sequence
from typing import Any

import pytest

from hookfarm import timestamps
from hookfarm.chain.node_pool import NodePool, NodeProfile
from hookfarm.config import NodeConfig
from hookfarm.errors import ChainUnavailable, WrongChain
from hookfarm.event_ingestor import node_telemetry, telemetry
from hookfarm.event_ingestor.node_telemetry import NodeStatus
from hookfarm.event_ingestor.telemetry import IngestorCounters
from hookfarm.farm.scoreboard import LABELS, Scoreboard, Slot, State

URLS = ("wss://one.example/v2/canary", "https://user:canary@two.example:8545/?key=canary", "ws://three.example")
NOW = 1_700_000_000.0


def iso(at: float) -> str:
    return timestamps.format_ms(int(at * 1000))


class Setting:
    """An ingestor that watches three nodes, at a time of the test's own."""

    def __init__(self, slot: Slot) -> None:
        self.slot, self.now = slot, NOW
        self.one, self.two, self.three = self.start(URLS)

    def start(self, urls: Sequence[str], configs: Sequence[NodeConfig] = ()) -> tuple[NodeProfile, ...]:
        """A new process."""
        watched = NodePool(urls, configs=configs).all
        self.counters = IngestorCounters(self.slot, 10, clock=lambda: self.now)
        self.counters.nodes.watch(watched)
        return watched

    def told(self) -> list[NodeStatus]:
        return telemetry.report([self.slot], clock=lambda: self.now)["chains"][0]["nodes"]

    def at_block(self, number: int) -> None:
        self.counters.checkpoint(number)
        self.counters.at_the_tip()

    def states(self) -> list[str]:
        return [one["state"] for one in self.told()]

    def metric(self, name: str) -> dict[str, Any]:
        families = telemetry.families([self.slot], clock=lambda: self.now)
        [samples] = [family.samples for family in families if family.name == f"event_ingestor_{name}"]
        return {sample.labels["node"]: sample.value for sample in samples}


@pytest.fixture
def setting() -> Setting:
    [slot] = Scoreboard({"event_ingestor": 1}).slots("event_ingestor")
    slot.state = State.UP
    return Setting(slot)


def test_before_anything_happened_all_of_them_stand_by_in_their_order(setting: Setting) -> None:
    assert setting.told()[1] == {
        "name": "https://two.example:8545",
        "kind": "http",
        "state": "standby",
        "cooldown_until": None,
        "last_error": "",
        "last_error_at": None,
        "requests": 0,
        "calls": 0,
        "errors": {"refused": 0, "rate_limited": 0, "unavailable": 0},
        "bytes_sent": 0,
        "bytes_received": 0,
        "units": None,
        "batch_calls": 100,
        "range_blocks": 64,
        "hedged": 0,
        "hedges_won": 0,
        "per_block": None,
        "per_day": None,
        "units_per_month": None,
        "units_this_month": None,
    }
    assert [(one["name"], one["kind"]) for one in setting.told()[::2]] == [
        ("wss://one.example", "ws"),
        ("ws://three.example", "ws"),
    ]


def test_the_one_that_is_followed_is_in_use_and_no_other(setting: Setting) -> None:
    setting.counters.nodes.active(setting.one)
    setting.counters.nodes.active(setting.two)
    assert setting.states() == ["standby", "active", "standby"]
    assert list(setting.metric("node_active").values()) == [0, 1, 0]


def test_one_that_failed_cools_down_and_says_until_when_and_why(setting: Setting) -> None:
    setting.counters.nodes.active(setting.one)
    setting.counters.nodes.failed(setting.one, ChainUnavailable("wss://one.example: HTTP 429"), 30.0)
    one = setting.told()[0]
    assert (one["state"], one["cooldown_until"], one["last_error"]) == ("cooldown", iso(NOW + 30), "HTTP 429")
    assert list(setting.metric("node_cooldown").values()) == [1, 0, 0]
    setting.now += 31
    one = setting.told()[0]
    assert (one["state"], one["cooldown_until"], one["last_error"]) == ("standby", None, "HTTP 429")
    assert one["last_error_at"] == iso(NOW)


def test_one_of_another_chain_is_refused_until_it_has_been_of_use(setting: Setting) -> None:
    setting.counters.nodes.failed(setting.one, WrongChain("chain 10: wss://one.example serves chain 5"), 1.0)
    setting.now += 60
    one = setting.told()[0]
    assert (one["state"], one["cooldown_until"], one["last_error"]) == ("wrong_chain", None, "serves chain 5")
    setting.counters.nodes.active(setting.one)
    assert setting.states()[0] == "active"


def test_requests_calls_and_errors_are_those_of_the_node(setting: Setting) -> None:
    for _ in range(2):
        setting.counters.nodes.requested(setting.two)
    for method in ("eth_getLogs", "eth_blockNumber", "zks_strange"):
        setting.two.on_call(method)
    setting.two.on_failure("rate_limited")
    setting.one.on_failure("unavailable")
    two = setting.told()[1]
    assert (two["requests"], two["calls"]) == (2, 3)
    assert two["errors"] == {"refused": 0, "rate_limited": 1, "unavailable": 0}
    assert setting.metric("node_requests")["https://two.example:8545"] == 2


PRICES = NodeConfig(units_per_month=5_000, units_per_call={"eth_getLogs": 60, "other": 10})


def test_the_cost_is_that_of_the_last_blocks_and_projected_to_a_day(setting: Setting) -> None:
    one, *_ = setting.start(URLS, configs=(PRICES,))
    setting.at_block(100)
    for number in range(101, 111):
        setting.now += 12
        setting.counters.nodes.requested(one)
        one.take("eth_getBlockByNumber", "eth_getLogs")
        one.on_bytes(200, 3_000)
        setting.at_block(number)
    first, second, _ = setting.told()
    block: dict[str, float] = {
        "requests": 1.0,
        "calls": 2.0,
        "bytes_sent": 200.0,
        "bytes_received": 3000.0,
        "units": 70.0,
    }
    assert dict(first["per_block"] or {}) == block
    assert dict(first["per_day"] or {}) == {name: 7_200 * value for name, value in block.items()}
    assert (first["units"], first["bytes_sent"], first["bytes_received"]) == (700, 2_000, 30_000)
    assert dict(second["per_day"] or {}) == {**dict.fromkeys(block, 0.0), "units": None}
    assert setting.metric("node_units") == {one.origin: 700}
    assert setting.metric("node_received_bytes")[one.origin] == 30_000


def test_requests_of_a_catch_up_do_not_belong_to_the_cost(setting: Setting) -> None:
    setting.at_block(100)
    setting.counters.catching_up(50.0, 10.0)
    for _ in range(500):
        setting.counters.nodes.requested(setting.one)
    for number in (900, 901):
        setting.now += 12
        setting.at_block(number)
        setting.counters.nodes.requested(setting.one)
    cost = setting.told()[0]["per_block"]
    assert cost is not None
    assert cost["requests"] == 1


def test_a_budget_and_the_state_of_a_node_without_any_left(setting: Setting) -> None:
    one, *_ = setting.start(URLS, configs=(PRICES,))
    one.budget.on_used(4_990)
    assert (setting.told()[0]["units_per_month"], setting.told()[0]["units_this_month"]) == (5_000, 4_990)
    while one.take("eth_getLogs"):
        pass
    setting.counters.nodes.failed(one, ChainUnavailable(f"{one.origin}: monthly budget used up"), 3_600.0)
    told = setting.told()[0]
    assert (told["state"], told["cooldown_until"]) == ("over_budget", iso(NOW + 3_600))
    assert told["last_error"] == "monthly budget used up"
    assert setting.metric("node_over_budget")[one.origin] == 1
    assert setting.metric("node_cooldown")[one.origin] == 0
    assert setting.metric("node_budget_used_units") == {one.origin: 4_990}
    setting.now += 3_600
    assert setting.states()[0] == "standby"


def test_learned_limits_are_shown_with_the_next_request(setting: Setting) -> None:
    setting.one.batches.reduce(3)
    setting.one.ranges.refused(64)
    setting.counters.nodes.requested(setting.one)
    assert [(told["batch_calls"], told["range_blocks"]) for told in setting.told()[:2]] == [(3, 32), (100, 64)]
    assert list(setting.metric("node_batch_calls").values()) == [3, 100, 100]


def test_nothing_secret_of_a_url_is_told(setting: Setting) -> None:
    setting.counters.nodes.failed(setting.two, ChainUnavailable(f"{URLS[1]}: no answer in time"), 1.0)
    assert "canary" not in str(setting.told())
    assert not any("canary" in setting.slot.label(index) for index in range(LABELS))
    assert setting.told()[1]["last_error"] == "no answer in time"


@pytest.mark.parametrize("state", [State.BOOTING, State.QUIET, State.BACKOFF])
def test_what_a_process_used_that_is_gone_or_begins_is_not_in_use(setting: Setting, state: State) -> None:
    setting.counters.nodes.active(setting.one)
    setting.slot.state = state
    assert setting.states() == ["standby"] * 3


def test_a_successor_uses_none_and_lets_none_rest_but_knows_what_happened(setting: Setting) -> None:
    setting.counters.nodes.active(setting.one)
    setting.counters.nodes.failed(setting.two, ChainUnavailable("gone"), 600.0)
    setting.counters.nodes.requested(setting.two)
    setting.start(URLS)
    assert setting.states() == ["standby"] * 3
    assert (setting.told()[1]["last_error"], setting.told()[1]["requests"]) == ("gone", 1)
    setting.start(URLS[::-1])
    assert [(one["last_error"], one["requests"]) for one in setting.told()] == [("", 0)] * 3


def test_an_error_stays_within_its_place_and_is_readable_in_any_script(setting: Setting) -> None:
    setting.counters.nodes.failed(setting.one, ChainUnavailable("é" * 1000), 1.0)
    setting.counters.nodes.failed(setting.three, ChainUnavailable("0x12345678… is\nnot it"), 1.0)
    first, second, third = setting.told()
    assert set(first["last_error"]) == {"?"}
    assert (second["last_error"], third["last_error"]) == ("", "0x12345678... is not it")
    assert [one["name"] for one in setting.told()] == [profile.origin for profile in NodePool(URLS).all]


def test_more_nodes_than_there_is_room_for_are_the_last_of_them(setting: Setting) -> None:
    many = setting.start([f"http://node-{number}.example" for number in range(node_telemetry.MAX_NODES + 2)])
    setting.counters.nodes.active(many[-1])
    setting.counters.nodes.failed(many[-2], ChainUnavailable("gone"), 1.0)
    assert len(setting.told()) == node_telemetry.MAX_NODES
    assert setting.told()[-1]["last_error"] == "gone"
