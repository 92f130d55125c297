from typing import Any

import pytest

from hookfarm.devchain.serializers import block_json
from tests.unit.devchain.rpc_calls import TOPIC, UNKNOWN, call, hash_of, logs_of, node_of


@pytest.mark.parametrize(
    ("method", "result"),
    [
        ("eth_chainId", "0x7a69"),
        ("net_version", "31337"),
        ("eth_blockNumber", "0x3"),
        ("eth_syncing", False),
        ("eth_gasPrice", "0x3b9aca00"),
        ("eth_accounts", []),
    ],
)
def test_methods_without_arguments(method: str, result: object) -> None:
    node = node_of(3)
    assert call(node, method) == result
    assert call(node, method, 1)[0] == -32602


@pytest.mark.parametrize(
    ("tag", "number"),
    [
        ("0x2", 2),
        ("0x0", 0),
        ("latest", 5),
        ("pending", 5),
        ("safe", 4),
        ("finalized", 3),
        ("earliest", 0),
    ],
)
def test_block_by_number_or_tag(tag: str, number: int) -> None:
    node = node_of(5)
    block = node.chain.block(number)
    assert block is not None
    shown = call(node, "eth_getBlockByNumber", tag, False)
    assert shown == block_json(block, 31337, full_transactions=False)
    assert all(isinstance(each, str) for each in shown["transactions"])
    assert call(node, "eth_getBlockByHash", block.hash, False) == shown
    full = call(node, "eth_getBlockByNumber", tag, True)
    assert [each["hash"] for each in full["transactions"]] == shown["transactions"]


def test_safe_and_finalized_are_genesis_on_a_young_chain() -> None:
    node = node_of(1, safe_distance=5, finalized_distance=9)
    for tag in ("safe", "finalized"):
        assert call(node, "eth_getBlockByNumber", tag, False)["number"] == "0x0"


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("eth_getBlockByNumber", ["0x4", False]),
        ("eth_getBlockByHash", [UNKNOWN, False]),
        ("eth_getBlockReceipts", ["0x4"]),
        ("eth_getBlockReceipts", [UNKNOWN]),
        ("eth_getTransactionByHash", [UNKNOWN]),
        ("eth_getTransactionReceipt", [UNKNOWN]),
    ],
)
def test_what_does_not_exist_is_null(method: str, params: list[Any]) -> None:
    assert call(node_of(3), method, *params) is None


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("eth_getBlockByNumber", []),
        ("eth_getBlockByNumber", ["latest"]),
        ("eth_getBlockByNumber", ["latest", False, 1]),
        ("eth_getBlockByNumber", ["latest", "false"]),
        ("eth_getBlockByNumber", ["newest", False]),
        ("eth_getBlockByNumber", ["0x05", False]),
        ("eth_getBlockByNumber", [5, False]),
        ("eth_getBlockByNumber", [None, False]),
        ("eth_getBlockByHash", ["0x11", False]),
        ("eth_getBlockByHash", [None, False]),
        ("eth_getBlockReceipts", [{}]),
        ("eth_getTransactionByHash", ["latest"]),
        ("eth_getTransactionReceipt", []),
        ("eth_getLogs", []),
        ("eth_getLogs", ["latest"]),
        ("eth_getLogs", [{}, {}]),
        ("eth_getLogs", [{"address": "0x12"}]),
        ("eth_getLogs", [{"topics": ["0x12"]}]),
        ("eth_getLogs", [{"topics": [None] * 5}]),
        ("eth_getLogs", [{"fromBlock": "5"}]),
        ("eth_getLogs", [{"fromBlock": 1}]),
        ("eth_getLogs", [{"blockHash": "0x12"}]),
        ("eth_getLogs", [{"blockHash": UNKNOWN, "fromBlock": "0x1"}]),
        ("eth_getLogs", [{"blockHash": UNKNOWN, "toBlock": "0x1"}]),
        ("eth_getLogs", [{"fromBlock": "0x3", "toBlock": "0x1"}]),
        ("eth_getLogs", [{"fromBlock": "0x1", "toBlock": "0x4"}]),
        ("eth_getLogs", [{"fromBlock": "0x4"}]),
    ],
)
def test_wrong_arguments_are_invalid_params(method: str, params: list[Any]) -> None:
    assert call(node_of(3), method, *params)[0] == -32602


def test_transaction_and_receipt_by_hash() -> None:
    node = node_of(3)
    block = call(node, "eth_getBlockByNumber", "0x2", True)
    receipts = call(node, "eth_getBlockReceipts", "0x2")
    for transaction, receipt in zip(block["transactions"], receipts, strict=True):
        assert call(node, "eth_getTransactionByHash", transaction["hash"]) == transaction
        assert call(node, "eth_getTransactionReceipt", transaction["hash"]) == receipt
    assert [log for receipt in receipts for log in receipt["logs"]] == logs_of(node, 2)


def test_block_receipts_by_hash_tag_and_eip_1898_object() -> None:
    node = node_of(3)
    by_hash = call(node, "eth_getBlockReceipts", hash_of(node, 3))
    assert len(by_hash) == 2
    assert call(node, "eth_getBlockReceipts", "latest") == by_hash
    assert call(node, "eth_getBlockReceipts", {"blockNumber": "0x3"}) == by_hash
    assert call(node, "eth_getBlockReceipts", {"blockHash": hash_of(node, 3)}) == by_hash


def test_orphaned_transaction_has_no_receipt() -> None:
    node = node_of(3)
    transaction = call(node, "eth_getBlockByNumber", "0x3", False)["transactions"][0]
    node.reorg(1)
    assert call(node, "eth_getTransactionReceipt", transaction) is None


@pytest.mark.parametrize(
    ("criteria", "numbers"),
    [
        ({}, [5]),
        ({"fromBlock": "0x2"}, [2, 3, 4, 5]),
        ({"fromBlock": "0x2", "toBlock": "0x3"}, [2, 3]),
        ({"fromBlock": "earliest", "toBlock": "finalized"}, [1, 2, 3]),
        ({"fromBlock": "finalized", "toBlock": "safe"}, [3, 4]),
        ({"fromBlock": None, "toBlock": None, "blockHash": None}, [5]),
        ({"fromBlock": "0x0", "toBlock": "0x0"}, []),
    ],
)
def test_logs_of_a_range(criteria: dict[str, Any], numbers: list[int]) -> None:
    node = node_of(5)
    assert call(node, "eth_getLogs", criteria) == logs_of(node, *numbers)


def test_logs_of_a_block_hash() -> None:
    node = node_of(3)
    logs = call(node, "eth_getLogs", {"blockHash": hash_of(node, 2)})
    assert logs == logs_of(node, 2)
    assert len(logs) == 2


def test_logs_of_an_orphaned_block_are_still_found_by_its_hash_only() -> None:
    node = node_of(3)
    orphan, logs = hash_of(node, 3), logs_of(node, 3)
    node.reorg(1)
    assert call(node, "eth_getLogs", {"blockHash": orphan}) == logs
    assert call(node, "eth_getLogs", {"fromBlock": "0x3"}) == logs_of(node, 3) != logs


def test_logs_of_an_unknown_block_are_an_error_and_not_empty() -> None:
    assert call(node_of(3), "eth_getLogs", {"blockHash": UNKNOWN}) == (-32000, "unknown block")


def test_logs_are_filtered_by_address_and_topics() -> None:
    node = node_of(5, logs_per_block=20)
    everything = logs_of(node, 1, 2, 3, 4, 5)
    wanted = everything[0]
    criteria = {"fromBlock": "0x1", "address": wanted["address"], "topics": [None, TOPIC]}
    assert call(node, "eth_getLogs", criteria) == []
    criteria["topics"] = [None, [TOPIC, wanted["topics"][1]]]
    found = call(node, "eth_getLogs", criteria)
    assert wanted in found
    assert found == [
        log
        for log in everything
        if log["address"] == wanted["address"] and log["topics"][1] == wanted["topics"][1]
    ]


def test_pruned_history_is_an_error_and_not_empty() -> None:
    node = node_of(10, history_logs=6)
    gone, kept = hash_of(node, 2), hash_of(node, 9)
    calls: list[tuple[str, list[Any]]] = [
        ("eth_getBlockByHash", [gone, False]),
        ("eth_getBlockByNumber", ["0x2", False]),
        ("eth_getBlockReceipts", ["0x2"]),
        ("eth_getLogs", [{"fromBlock": "0x2"}]),
        ("eth_getLogs", [{"blockHash": gone}]),
    ]
    for method, params in calls:
        assert call(node, method, *params) == (4444, "pruned history unavailable")
    assert len(call(node, "eth_getLogs", {"blockHash": kept})) == 2
    assert call(node, "eth_getBlockByNumber", "0x0", False)["number"] == "0x0"


def test_subscriptions_are_refused_where_nothing_can_be_announced() -> None:
    refusal = (-32601, "notifications not supported")
    assert call(node_of(0), "eth_subscribe", "newHeads") == refusal
