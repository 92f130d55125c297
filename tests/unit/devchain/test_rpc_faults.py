import json
from typing import Any

import pytest

from hookfarm.devchain.node import DevNode
from hookfarm.devchain.rpc import batch_refusal, parse_message
from hookfarm.devchain.rpc_errors import PROVIDER_ERRORS
from hookfarm.errors import InvalidInput
from tests.unit.devchain.rpc_calls import call, hash_of, logs_of, node_of, send


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


def headers_of(node: DevNode, number: int) -> dict[str, Any]:
    found: dict[str, Any] = call(node, "eth_getBlockByNumber", hex(number), False)
    return found


def range_of(node: DevNode, first: int, last: int) -> Any:
    return call(node, "eth_getLogs", {"fromBlock": hex(first), "toBlock": hex(last)})


def test_omitted_logs_may_be_the_first_ones() -> None:
    node = node_of(3)
    node.set_fault("omitted_logs", logs=2, where="first")
    assert range_of(node, 1, 3) == logs_of(node, 2, 3)


def test_omitted_receipt_logs_are_the_last_ones_of_the_block() -> None:
    node = node_of(1, logs_per_block=3)
    node.set_fault("omitted_receipt_logs", count=1, logs=2)
    receipts = call(node, "eth_getBlockReceipts", "latest")
    assert [len(receipt["logs"]) for receipt in receipts] == [1, 0, 0]
    assert [len(receipt["logs"]) for receipt in call(node, "eth_getBlockReceipts", "latest")] == [1, 1, 1]


def test_capped_results_look_like_all_of_them() -> None:
    node = node_of(3)
    node.set_fault("capped_results", logs=4)
    assert range_of(node, 1, 3) == logs_of(node, 1, 2)
    assert range_of(node, 1, 2) == logs_of(node, 1, 2)


@pytest.mark.parametrize("provider", PROVIDER_ERRORS)
def test_ranges_are_refused_as_each_provider_does(provider: str) -> None:
    node = node_of(5)
    node.set_fault("refused_ranges", blocks=2, provider=provider)
    code, message = range_of(node, 2, 5)
    assert (code, message) == (
        PROVIDER_ERRORS[provider][0],
        PROVIDER_ERRORS[provider][1].format(first="0x2", last="0x5"),
    )
    assert range_of(node, 2, 3) == logs_of(node, 2, 3)


def test_a_suggested_range_may_be_the_one_that_was_asked_for() -> None:
    node = node_of(5)
    node.set_fault("refused_results", logs=2, provider="infura")
    assert "[0x2, 0x5]" in range_of(node, 2, 5)[1]


def test_a_balancer_gives_one_request_in_so_many_to_the_lagging_node_and_a_batch_to_one_node() -> None:
    node = node_of(5)
    node.set_fault("lag", blocks=2, one_in=2)
    ask = {"jsonrpc": "2.0", "method": "eth_blockNumber"}
    answers = [send(node, [ask | {"id": 1}, ask | {"id": 2}]) for _ in range(4)]
    assert [[each["result"] for each in batch] for batch in answers] == [["0x5"] * 2, ["0x3"] * 2] * 2


def test_batches_are_refused_as_a_whole() -> None:
    node = node_of(1)
    node.set_fault("refused_batches", calls=2)
    ask = {"jsonrpc": "2.0", "method": "eth_blockNumber", "id": 1}
    assert batch_refusal(node, parse_message(json.dumps([ask] * 2))) is None
    refusal = batch_refusal(node, parse_message(json.dumps([ask] * 3)))
    assert refusal is not None
    assert refusal.how == "error"
    assert refusal.response == {
        "jsonrpc": "2.0",
        "id": None,
        "error": {"code": -32600, "message": "batch too large"},
    }


def test_only_the_first_calls_of_a_batch_are_answered() -> None:
    node = node_of(1)
    node.set_fault("shortened_batches", 1, calls=3)
    calls = [{"jsonrpc": "2.0", "method": "eth_blockNumber", "id": number} for number in range(5)]
    assert [each["id"] for each in send(node, calls)] == [0, 1, 2]
    assert len(send(node, calls)) == 5


@pytest.mark.parametrize(("shown", "bloom"), [("zeros", "0x" + "00" * 256), ("null", None)])
def test_hidden_blooms_leave_the_rest_of_the_header_as_it_is(shown: str, bloom: str | None) -> None:
    node = node_of(1)
    honest = headers_of(node, 1)
    node.set_fault("hidden_blooms", shown=shown)
    assert headers_of(node, 1) == honest | {"logsBloom": bloom}


def test_local_log_indices_start_again_in_each_transaction() -> None:
    node = node_of(2, logs_per_block=3)
    node.set_fault("local_log_indices")
    assert {log["logIndex"] for log in range_of(node, 1, 2)} == {"0x0"}
    assert {log["logIndex"] for log in logs_of(node, 1)} == {"0x0", "0x1", "0x2"}


def test_bare_logs_have_no_timestamp_or_one_of_zero() -> None:
    node = node_of(1)
    node.set_fault("bare_logs", count=1)
    assert all("blockTimestamp" not in log for log in range_of(node, 1, 1))
    node.set_fault("bare_logs", shown="zero")
    assert {log["blockTimestamp"] for log in range_of(node, 1, 1)} == {"0x0"}


def test_a_reorg_on_a_call_has_happened_when_the_call_is_answered() -> None:
    node = node_of(5)
    before = hash_of(node, 5)
    node.set_fault("reorg_on_call", count=1, depth=2, more=1)
    logs = range_of(node, 4, 5)
    assert node.chain.head.number == 6
    assert before not in {log["blockHash"] for log in logs}


def test_a_return_on_a_call_goes_back_to_the_branch_that_was_left() -> None:
    node = node_of(5)
    before = hash_of(node, 5)
    node.reorg(3, length=4)
    node.set_fault("return_on_call", count=1, method="eth_blockNumber")
    assert call(node, "eth_blockNumber") == "0x5"
    assert hash_of(node, 5) == before
    assert call(node, "eth_blockNumber") == "0x5"


@pytest.mark.parametrize(
    ("kind", "parameter", "text"),
    [("omitted_logs", "where", "middle"), ("refused_ranges", "words", "acme"), ("hidden_blooms", "shown", "x")],
)
def test_a_text_that_means_nothing_is_refused_when_the_fault_is_set(kind: str, parameter: str, text: str) -> None:
    with pytest.raises(InvalidInput, match="allowed are"):
        node_of(0).set_fault(kind, None, **{parameter: text})
