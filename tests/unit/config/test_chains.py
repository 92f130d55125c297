"""The settings of a chain, beside its URLs."""

from pathlib import Path

import pytest

from hookfarm.config import ChainConfig, chains, load
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
        ("colour=red", "chain 1: unknown setting 'colour'; known: verify, requests_per_second"),
    ],
)
def test_a_wrong_setting_is_refused_and_named(setting: str, problem: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        load({"chains": (f"1=ws://a;{setting}",)}, {})
    assert problem in str(caught.value)
