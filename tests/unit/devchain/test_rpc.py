import asyncio
import json
from typing import Any

import pytest

from hookfarm.devchain.json_views import block_json, logs_json
from hookfarm.devchain.node import Node
from hookfarm.devchain.options import DevchainOptions
from hookfarm.devchain.rpc import answer, parse_message
from hookfarm.devchain.rpc_errors import RpcError

UNKNOWN = "0x" + "11" * 32
TOPIC = "0x" + "ab" * 32


def node_of(blocks: int = 3, **options: int) -> Node:
    defaults = {"logs_per_block": 2, "safe_distance": 1, "finalized_distance": 2}
    node = Node(DevchainOptions(**(defaults | options)))  # type: ignore[arg-type]
    if blocks:
        node.mine(blocks)
    return node


def send(node: Node, content: object) -> Any:
    message = parse_message(json.dumps(content))
    return asyncio.run(answer(node, message, None))


def call(node: Node, method: str, *params: Any) -> Any:
    """The result, or the error's (code, message)."""
    response = send(node, {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)})
    if "error" in response:
        return response["error"]["code"], response["error"]["message"]
    return response["result"]


def hash_of(node: Node, number: int) -> str:
    block = node.chain.block(number)
    assert block is not None
    return block.hash


def logs_of(node: Node, *numbers: int) -> list[dict[str, Any]]:
    blocks = [node.chain.block(number) for number in numbers]
    return [log for block in blocks if block for log in logs_json(block)]


# The envelope


@pytest.mark.parametrize(("raw", "code"), [("{bad", -32700), ("", -32700), ("[]", -32600)])
def test_message_that_is_no_request_is_refused_as_a_whole(raw: str, code: int) -> None:
    with pytest.raises(RpcError) as raised:
        parse_message(raw)
    assert raised.value.response(None)["error"]["code"] == code


@pytest.mark.parametrize(
    "request_",
    [
        5,
        "eth_chainId",
        None,
        {},
        {"jsonrpc": "2.0", "id": 1},
        {"id": 1, "method": "eth_chainId"},
        {"jsonrpc": "1.0", "id": 1, "method": "eth_chainId"},
        {"jsonrpc": "2.0", "id": 1, "method": 5},
        {"jsonrpc": "2.0", "id": {"a": 1}, "method": "eth_chainId"},
    ],
)
def test_malformed_request_is_answered_with_invalid_request(request_: object) -> None:
    assert send(node_of(0), request_)["error"]["code"] == -32600


def test_unknown_method_is_named() -> None:
    code, message = call(node_of(0), "eth_sendRawTransaction")
    assert code == -32601
    assert "eth_sendRawTransaction" in message


@pytest.mark.parametrize("params", [{}, "x", 5])
def test_params_must_be_a_list(params: object) -> None:
    request = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": params}
    assert send(node_of(0), request)["error"]["code"] == -32602


@pytest.mark.parametrize("extra", [{}, {"params": None}, {"params": []}])
def test_params_may_be_left_out(extra: dict[str, object]) -> None:
    request = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId"} | extra
    assert send(node_of(0), request)["result"] == "0x7a69"


@pytest.mark.parametrize("request_id", [0, 7, "seven", None])
def test_answer_carries_the_id_of_its_request(request_id: object) -> None:
    request = {"jsonrpc": "2.0", "id": request_id, "method": "eth_chainId"}
    assert send(node_of(0), request)["id"] == request_id


def test_notification_gets_no_answer_but_is_executed() -> None:
    node = node_of(0)
    assert send(node, {"jsonrpc": "2.0", "method": "devchain_mine", "params": [2]}) is None
    assert node.chain.head.number == 2


def test_batch_is_answered_in_order_without_its_notifications() -> None:
    request = {"jsonrpc": "2.0", "method": "eth_blockNumber"}
    answers = send(node_of(3), [request | {"id": 1}, request, 5, request | {"id": "b"}])
    assert [each["id"] for each in answers] == [1, None, "b"]
    assert answers[0]["result"] == "0x3"
    assert answers[1]["error"]["code"] == -32600


def test_batch_of_notifications_only_gets_no_answer() -> None:
    assert send(node_of(0), [{"jsonrpc": "2.0", "method": "eth_blockNumber"}]) is None


def test_calls_are_counted_by_method() -> None:
    node = node_of(0)
    call(node, "eth_chainId")
    send(node, [{"jsonrpc": "2.0", "id": i, "method": "eth_blockNumber"} for i in range(3)])
    assert node.stats()["methods"] == {"eth_chainId": 1, "eth_blockNumber": 3}


# Methods


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


# Faults


def test_error_for_one_method_leaves_the_others() -> None:
    node = node_of(3)
    node.set_fault("error", count=1, method="eth_getLogs", code=-32005, message="slow down")
    assert call(node, "eth_blockNumber") == "0x3"
    assert call(node, "eth_getLogs", {}) == (-32005, "slow down")
    assert call(node, "eth_getLogs", {}) == logs_of(node, 3)


def test_nulls_hide_blocks_and_receipts() -> None:
    node = node_of(3)
    node.set_fault("nulls")
    assert call(node, "eth_getBlockByNumber", "0x1", False) is None
    assert call(node, "eth_getBlockReceipts", "0x1") is None
    assert call(node, "eth_getLogs", {}) == logs_of(node, 3)


@pytest.mark.parametrize(("left_out", "answered"), [(1, 1), (2, 0), (5, 0), (0, 2)])
def test_omitted_logs_are_the_last_ones(left_out: int, answered: int) -> None:
    node = node_of(3)
    node.set_fault("omitted_logs", logs=left_out)
    assert call(node, "eth_getLogs", {}) == logs_of(node, 3)[:answered]


def test_omission_is_not_used_up_by_an_empty_answer() -> None:
    node = node_of(3)
    node.set_fault("omitted_logs", count=1)
    assert call(node, "eth_getLogs", {"fromBlock": "0x0", "toBlock": "0x0"}) == []
    assert len(call(node, "eth_getLogs", {})) == 1
    assert len(call(node, "eth_getLogs", {})) == 2


def test_lagging_node_knows_nothing_above_its_head() -> None:
    node = node_of(5)
    transaction = call(node, "eth_getBlockByNumber", "0x5", False)["transactions"][0]
    node.set_fault("lag", blocks=2)
    assert call(node, "eth_blockNumber") == "0x3"
    assert call(node, "eth_getBlockByNumber", "latest", False)["number"] == "0x3"
    assert call(node, "eth_getBlockByNumber", "safe", False)["number"] == "0x2"
    assert call(node, "eth_getBlockByNumber", "0x4", False) is None
    assert call(node, "eth_getBlockByHash", hash_of(node, 4), False) is None
    assert call(node, "eth_getLogs", {}) == logs_of(node, 3)
    assert call(node, "eth_getLogs", {"blockHash": hash_of(node, 4)})[1] == "unknown block"
    assert call(node, "eth_getLogs", {"fromBlock": "0x1", "toBlock": "0x5"})[0] == -32602
    assert call(node, "eth_getTransactionReceipt", transaction) is None


def test_clamped_range_is_answered_in_part() -> None:
    node = node_of(3)
    node.set_fault("clamped_ranges")
    answered = call(node, "eth_getLogs", {"fromBlock": "0x2", "toBlock": "0x9"})
    assert answered == logs_of(node, 2, 3)


def test_long_ranges_are_refused_in_the_given_words() -> None:
    node = node_of(5)
    node.set_fault("refused_ranges", blocks=2, code=35, message="ranges over 2 blocks no more")
    refused = call(node, "eth_getLogs", {"fromBlock": "0x1", "toBlock": "0x3"})
    assert refused == (35, "ranges over 2 blocks no more")
    answered = call(node, "eth_getLogs", {"fromBlock": "0x1", "toBlock": "0x2"})
    assert answered == logs_of(node, 1, 2)


def test_many_results_are_refused() -> None:
    node = node_of(5)
    node.set_fault("refused_results", logs=4)
    assert call(node, "eth_getLogs", {"fromBlock": "0x1", "toBlock": "0x3"})[0] == -32005
    assert len(call(node, "eth_getLogs", {"fromBlock": "0x1", "toBlock": "0x2"})) == 4


def test_unsupported_tags_are_refused() -> None:
    node = node_of(3)
    node.set_fault("unsupported_tags")
    assert call(node, "eth_getBlockByNumber", "finalized", False)[0] == -32602
    assert call(node, "eth_getLogs", {"fromBlock": "safe"})[0] == -32602
    assert call(node, "eth_getBlockByNumber", "latest", False)["number"] == "0x3"
