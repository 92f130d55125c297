"""The settings of a chain, beside its URLs."""

from pathlib import Path

import pytest

from hookfarm.config import ChainConfig, NodeConfig, chains, load
from hookfarm.errors import InvalidInput


def test_settings_follow_the_urls() -> None:
    found = chains("1=ws://a,http://b 137=wss://p;verify=contiguous;requests_per_second=12.5")
    assert found == (
        ChainConfig(1, ("ws://a", "http://b")),
        ChainConfig(137, ("wss://p",), "contiguous", 12.5),
    )


def test_in_a_file_a_chain_may_be_a_table(tmp_path: Path) -> None:
    file = tmp_path / "hookfarm.toml"
    file.write_text(
        'chains.1 = "ws://a"\nchains.5 = ["ws://b", "http://c"]\n'
        '[chains.137]\nurls = ["wss://p"]\nverify = "receipts"\nrequests_per_second = 25\n'
    )
    assert load({}, {}, file).chains == (
        ChainConfig(1, ("ws://a",)),
        ChainConfig(5, ("ws://b", "http://c")),
        ChainConfig(137, ("wss://p",), "receipts", 25.0),
    )


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        (
            "verify=maybe",
            "chain 1: verify: 'maybe' is not allowed; "
            "allowed are bloom, contiguous, receipts, receipts-root, none",
        ),
        ("requests_per_second=0", "chain 1: requests_per_second: '0' is not a rate"),
        ("requests_per_second=fast", "chain 1: requests_per_second: 'fast' is not a rate"),
        ("hedge_percent=0", "chain 1: hedge_percent: '0' is not a percentage"),
        ("hedge_percent=101", "chain 1: hedge_percent: '101' is not a percentage"),
        ("colour=red", "chain 1: unknown setting 'colour'; known: verify, requests_per_second, reorg_window"),
    ],
)
def test_a_wrong_setting_is_refused_and_named(setting: str, problem: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        load({"chains": (f"1=ws://a;{setting}",)}, {})
    assert problem in str(caught.value)


PRICED = NodeConfig(30_000_000, {"eth_getLogs": 60, "other": 20})


def test_settings_of_a_node_follow_its_url() -> None:
    node = "https://b/key#units_per_month=30000000&units_per_call.eth_getLogs=60&units_per_call.other=20"
    [chain] = chains(f"1=ws://a,{node};hedge_percent=5")
    assert chain == ChainConfig(1, ("ws://a", "https://b/key"), hedge_percent=5.0, nodes=(NodeConfig(), PRICED))
    assert [chain.node(1).units(method) for method in ("eth_getLogs", "eth_chainId")] == [60, 20]
    assert chain.node(0).units("eth_getLogs") == 1


def test_in_a_file_a_node_may_be_a_table(tmp_path: Path) -> None:
    file = tmp_path / "hookfarm.toml"
    file.write_text(
        'chains.5 = [{ url = "ws://c", units_per_month = 7 }]\n[chains.1]\nurls = ["ws://a",'
        '{ url = "https://b/key", units_per_month = 30_000_000,'
        " units_per_call = { eth_getLogs = 60, other = 20 } }]\n"
    )
    assert load({}, {}, file).chains == (
        ChainConfig(5, ("ws://c",), nodes=(NodeConfig(7),)),
        ChainConfig(1, ("ws://a", "https://b/key"), nodes=(NodeConfig(), PRICED)),
    )


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("units_per_month=0", "units_per_month: '0' is out of range; allowed are 1 to"),
        ("units_per_month=many", "units_per_month: 'many' is not a whole number"),
        ("units_per_month=5&units_per_month=6", "units_per_month is given twice"),
        ("units_per_call.eth_logs=5", "units_per_call.eth_logs: unknown method; known: eth_getBlockByHash"),
        ("units_per_call.eth_getLogs=-1", "units_per_call.eth_getLogs: '-1' is out of range; allowed are 0 to"),
        ("units_per_call=5", "unknown setting 'units_per_call'; known: units_per_month=NUMBER"),
        ("canary0123456789", "unknown text after #; known: units_per_month=NUMBER"),
    ],
)
def test_a_wrong_setting_of_a_node_is_refused_and_named(setting: str, problem: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        load({"chains": (f"1=ws://a/canary#{setting}",)}, {})
    assert f"chain 1: ws://a: {problem}" in str(caught.value)
    assert "canary" not in str(caught.value)
