"""Blocks proven by the roots in their headers, against nodes that change a part of their answers."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hookfarm.chain.block import Header, parse_header
from hookfarm.chain.root_proof import RootProof, UnknownEncoding, has_receipts
from hookfarm.chain.rpc import Incomplete
from hookfarm.chain.transfers import Receipts
from hookfarm.errors import ChainUnavailable
from hookfarm.records import Event

CHAIN = json.loads((Path(__file__).parents[1] / "devchain" / "anvil_block.json").read_text())

Change = Callable[[dict[str, Any]], object]


def scene(change: Change = lambda _: None) -> dict[str, Any]:
    """Return the block and receipts of a real node, changed."""
    shown: dict[str, Any] = copy.deepcopy(CHAIN)
    change(shown)
    return shown


def header_of(shown: dict[str, Any]) -> Header:
    return parse_header(shown["block"])


def receipts_of(shown: dict[str, Any]) -> Receipts:
    return Receipts({each["transactionHash"]: each for each in shown["receipts"]}, [], [])


def events_of(shown: dict[str, Any], roots: RootProof | None = None) -> list[Event]:
    return (roots or RootProof(1)).events(header_of(shown), shown["block"], receipts_of(shown))


def test_the_logs_of_a_real_block_are_proven() -> None:
    found = scene()
    roots = RootProof(1)
    assert roots.check_header(header_of(found), found["block"])
    assert [(event["transaction_index"], event["log_index"]) for event in events_of(found, roots)] == [
        (0, 0),
        (1, 1),
        (2, 2),
    ]
    roots.check_transactions(header_of(found), found["block"], found["block"]["transactions"])
    assert has_receipts(found["block"])


CHANGES: dict[str, Change] = {
    "a log left out": lambda shown: shown["receipts"][2]["logs"].pop(),
    "a log twice": lambda shown: shown["receipts"][0].update(logs=shown["receipts"][0]["logs"] * 2),
    "other data": lambda shown: shown["receipts"][1]["logs"][0].update(data="0x" + "00" * 32),
    "another address": lambda shown: shown["receipts"][1]["logs"][0].update(address="0x" + "11" * 20),
    "a topic less": lambda shown: shown["receipts"][1]["logs"][0]["topics"].pop(),
    "swapped logs": lambda shown: shown["receipts"].insert(0, shown["receipts"].pop()),
    "a receipt left out": lambda shown: shown["receipts"].pop(),
    "another status": lambda shown: shown["receipts"][0].update(status="0x0"),
    "another type": lambda shown: shown["receipts"][0].update(type="0x1"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_receipts_do_not_make_the_root_after(name: str) -> None:
    with pytest.raises(Incomplete, match=r"block 3: . receipts do not make its receiptsRoot"):
        events_of(scene(CHANGES[name]))


def test_the_places_of_logs_are_those_in_the_receipts_whatever_they_say() -> None:
    def change(shown: dict[str, Any]) -> None:
        for receipt in shown["receipts"]:
            receipt["logs"][0].update(logIndex="0x7", transactionIndex="0x9", transactionHash="0x" + "ee" * 32)

    assert events_of(scene(change)) == events_of(scene())


def test_a_missing_receipt_proves_nothing() -> None:
    shown = scene()
    receipts = receipts_of(shown)._replace(absent=["0x" + "ab" * 32])
    with pytest.raises(Incomplete, match="no receipts of 1 transactions"):
        RootProof(1).events(header_of(shown), shown["block"], receipts)


def test_a_receipt_of_an_unknown_type_is_refused_with_the_reason() -> None:
    shown = scene(lambda shown: shown["receipts"][1].update(type="0x7b"))
    with pytest.raises(UnknownEncoding, match=r"block \d+: receipts of type 0x7b have no known encoding"):
        events_of(shown)


@pytest.mark.parametrize("field", ["logs", "logsBloom", "cumulativeGasUsed"])
def test_a_malformed_receipt_is_the_fault_of_the_node(field: str) -> None:
    shown = scene(lambda shown: shown["receipts"][1].pop(field))
    with pytest.raises(ChainUnavailable, match="malformed receipts"):
        events_of(shown)


def test_data_with_a_space_is_malformed_though_its_bytes_are_right() -> None:
    def change(shown: dict[str, Any]) -> None:
        log = shown["receipts"][1]["logs"][0]
        log["data"] = log["data"][:4] + " " + log["data"][4:]

    with pytest.raises(ChainUnavailable, match="malformed receipts"):
        events_of(scene(change))


def test_a_header_with_an_unknown_field_is_used_until_a_hash_of_the_chain_has_been_recomputed() -> None:
    roots = RootProof(1)
    true, other = scene(), scene(lambda shown: shown["block"].update(extraData="0xab", blockGasCost="0x0"))
    assert not roots.check_header(header_of(other), other["block"])
    assert roots.check_header(header_of(true), true["block"])
    with pytest.raises(Incomplete, match="its fields do not make its hash"):
        roots.check_header(header_of(other), other["block"])


def test_a_header_of_known_fields_that_do_not_make_its_hash_is_refused_at_once() -> None:
    other = scene(lambda shown: shown["block"].update(extraData="0xab", blockGasCost=None))
    with pytest.raises(Incomplete, match="its fields do not make its hash"):
        RootProof(1).check_header(header_of(other), other["block"])


TRANSACTION_CHANGES: dict[str, tuple[Change, str]] = {
    "left out": (lambda shown: shown["block"]["transactions"].pop(), "do not make its transactionsRoot"),
    "another value": (
        lambda shown: shown["block"]["transactions"][0].update(value="0x1"),
        "do not make its transactionsRoot",
    ),
    "another hash": (
        lambda shown: shown["block"]["transactions"][1].update(hash="0x" + "ab" * 32),
        "transaction 1 does not make its hash",
    ),
}


@pytest.mark.parametrize("name", TRANSACTION_CHANGES)
def test_transactions_are_refused_with(name: str) -> None:
    change, reason = TRANSACTION_CHANGES[name]
    shown = scene(change)
    with pytest.raises(Incomplete, match=reason):
        RootProof(1).check_transactions(header_of(shown), shown["block"], shown["block"]["transactions"])


def test_a_malformed_transaction_is_the_fault_of_the_node() -> None:
    shown = scene(lambda shown: shown["block"]["transactions"][1].pop("input"))
    with pytest.raises(ChainUnavailable, match="malformed transactions"):
        RootProof(1).check_transactions(header_of(shown), shown["block"], shown["block"]["transactions"])
