"""Profiles of chains, and the faults that only they have."""

from collections import Counter
from typing import Any

import pytest

from hookfarm.devchain.chain import DevchainOptions, with_profile
from hookfarm.devchain.encoding import to_data
from hookfarm.devchain.faults import FaultValue
from hookfarm.devchain.methods import call_method
from hookfarm.devchain.node import DevNode
from hookfarm.devchain.profiles import PROFILES
from hookfarm.devchain.rpc_errors import RpcError
from hookfarm.devchain.transaction import account, native_transfer
from hookfarm.errors import InvalidInput

ZERO = "0x" + "00" * 32


def node_like(like: str, **options: Any) -> DevNode:
    return DevNode(with_profile(like, {"logs_per_block": 3, **options}))


def node_with(kind: str, **parameters: FaultValue) -> DevNode:
    node = DevNode(DevchainOptions(logs_per_block=3))
    node.set_fault(kind, None, **parameters)
    return node


def ask(node: DevNode, method: str, *parameters: Any) -> Any:
    return call_method(node, method, list(parameters), None)


def logs_of(node: DevNode, number: int) -> list[Any]:
    found: list[Any] = ask(node, "eth_getLogs", {"fromBlock": hex(number), "toBlock": hex(number)})
    return found


def indices(logs: list[Any]) -> list[int]:
    return [int(log["logIndex"], 16) for log in logs]


@pytest.mark.parametrize("like", PROFILES)
def test_a_profile_has_the_id_of_its_chain_and_lasts_when_faults_are_cleared(like: str) -> None:
    node = node_like(like)
    active = [node.faults.active(kind, str(values.get("method", ""))) for kind, values in PROFILES[like].faults]
    node.faults.clear()
    assert node.options.chain_id == node.stats()["chain_id"] == PROFILES[like].chain_id
    assert node.stats()["like"] == like
    assert node.stats()["faults"] == []
    assert None not in active
    again = [node.faults.active(kind, str(values.get("method", ""))) for kind, values in PROFILES[like].faults]
    assert again == active


def test_given_options_win_over_those_of_the_profile() -> None:
    assert with_profile("filecoin", {}).null_round_every == PROFILES["filecoin"].options["null_round_every"]
    assert with_profile("filecoin", {"null_round_every": 3, "chain_id": 5}).chain_id == 5


def test_an_unknown_profile_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidInput, match="polygon"):
        DevchainOptions(like="nonsense")


def test_a_closing_block_has_logs_and_no_transaction() -> None:
    node = node_like("zksync")
    node.mine(4)
    closing, before = (ask(node, "eth_getBlockByNumber", hex(number), False) for number in (4, 3))
    assert (closing["transactions"], len(before["transactions"])) == ([], 3)
    assert ask(node, "eth_getBlockReceipts", "0x4") == []
    assert {(log["transactionHash"], log["transactionIndex"]) for log in logs_of(node, 4)} == {(ZERO, "0x0")}
    assert ZERO not in {log["transactionHash"] for log in logs_of(node, 3)}


def test_the_logs_of_an_epoch_have_a_receipt_without_a_transaction() -> None:
    node = node_like("celo")
    [*_, block] = node.mine(4)
    assert len(ask(node, "eth_getBlockByNumber", "0x4", False)["transactions"]) == 2
    *_, last = ask(node, "eth_getBlockReceipts", "0x4")
    assert (last["transactionHash"], last["transactionIndex"]) == (block.hash, "0x2")
    assert last["logs"] == logs_of(node, 4)[2:]
    assert len(last["logs"]) == 1


@pytest.mark.parametrize("receipts", ["failed", "none"])
def test_a_failed_transaction_leaves_bits_in_the_bloom_and_a_gap_in_the_indices(receipts: str) -> None:
    node = node_with("leaked_logs", receipts=receipts)
    failing = native_transfer(account(1), account(2), 5, fails=True)
    [call] = node.chain.mine(0).transactions[:1]
    block = node.mine_calls([call.call, failing, call.call])
    assert indices(logs_of(node, block.number)) == [0, 2]
    shown = ask(node, "eth_getBlockByNumber", hex(block.number), False)
    assert int(shown["logsBloom"], 16) | int.from_bytes(block.header.logs_bloom, "big") == int(
        shown["logsBloom"], 16
    )
    statuses = [receipt["status"] for receipt in ask(node, "eth_getBlockReceipts", block.hash)]
    assert statuses == (["0x1", "0x0", "0x1"] if receipts == "failed" else ["0x1", "0x1"])
    single = ask(node, "eth_getTransactionReceipt", to_data(block.transactions[1].hash))
    assert (single is None) == (receipts == "none")


def test_a_lagging_index_omits_fresh_blocks_as_often_as_it_says() -> None:
    node = node_with("lagging_index", calls=2, blocks=1)
    [_, block] = node.mine(2)
    assert len(logs_of(node, 1)) == 3
    assert [len(logs_of(node, 2)) for _ in range(3)] == [0, 0, 3]
    assert len(ask(node, "eth_getLogs", {"blockHash": block.hash})) == 3


@pytest.mark.parametrize(
    ("like", "expected"), [("bsc-erigon", [0, 0, 1]), ("stable", [0, 0, 0]), ("bsc-public", None)]
)
def test_wrong_indices_are_in_logs_and_receipts_alike(like: str, expected: list[int] | None) -> None:
    node = node_like(like)
    node.mine()
    if expected is None:
        assert node.faults.active("error", "eth_getLogs")
        return
    assert indices(logs_of(node, 1)) == expected
    receipts = ask(node, "eth_getBlockReceipts", "0x1")
    of_receipts = [index for receipt in receipts for index in indices(receipt["logs"])]
    assert Counter(of_receipts)[0] >= 2 or like == "bsc-erigon"


def test_duplicate_receipts_have_an_index_without_a_transaction() -> None:
    node = node_like("hedera")
    node.mine()
    first, second, *_ = ask(node, "eth_getBlockReceipts", "0x1")
    assert first["transactionHash"] == second["transactionHash"]
    assert (int(first["transactionIndex"], 16) >= 3, second["transactionIndex"]) == (True, "0x0")


def test_only_the_tag_of_the_profile_is_unsupported() -> None:
    node = node_like("polygon", safe_distance=1, finalized_distance=2)
    node.mine(5)
    with pytest.raises(RpcError, match="safe block not found"):
        ask(node, "eth_getBlockByNumber", "safe", False)
    assert ask(node, "eth_getBlockByNumber", "finalized", False)["number"] == "0x3"


def test_other_block_hashes_are_in_logs_but_not_in_receipts_themselves() -> None:
    node = node_like("xdc")
    [block] = node.mine()
    [receipt, *_] = ask(node, "eth_getBlockReceipts", "0x1")
    assert receipt["blockHash"] == block.hash
    assert block.hash not in {log["blockHash"] for log in [*receipt["logs"], *logs_of(node, 1)]}
