import json
from pathlib import Path
from typing import Any

import pytest
from eth_hash.auto import keccak

from hookfarm.devchain.block import DevBlock
from hookfarm.devchain.chain import DevChain, DevchainOptions
from hookfarm.devchain.encoding import ordered_root
from hookfarm.devchain.serializers import block_json, logs_json, receipt_json
from hookfarm.devchain.transaction import TRANSFER_TOPIC, Log, account, call_of_logs
from tests.support import evm_reference as reference

ANVIL = json.loads((Path(__file__).parent / "anvil_block.json").read_text())
"""A block of anvil 1.7.1 with three transactions of one Transfer each, as its RPC answers it."""

CHAIN_ID = 4711


def made_block(logs_per_block: int = 5) -> DevBlock:
    options = DevchainOptions(chain_id=CHAIN_ID, logs_per_block=logs_per_block)
    return DevChain(options).mine(timestamp=1_800_000_000)


def as_json(block: DevBlock) -> dict[str, Any]:
    return block_json(block, CHAIN_ID, full_transactions=True)


def receipts_json(block: DevBlock) -> list[dict[str, Any]]:
    return [receipt_json(block, index) for index in range(len(block.transactions))]


def test_reference_recomputes_a_real_block() -> None:
    block, receipts = ANVIL["block"], ANVIL["receipts"]
    transactions = [reference.encoded_transaction(each) for each in block["transactions"]]
    assert reference.header_hash(block) == block["hash"]
    assert [keccak(each) for each in transactions] == [
        reference.data(each["hash"]) for each in block["transactions"]
    ]
    assert ordered_root(transactions) == reference.data(block["transactionsRoot"])
    encoded_receipts = [reference.encoded_receipt(each) for each in receipts]
    assert ordered_root(encoded_receipts) == reference.data(block["receiptsRoot"])
    assert reference.bloom(ANVIL["logs"]) == block["logsBloom"]


def test_hash_can_be_recomputed_from_the_json_fields() -> None:
    block = made_block()
    assert reference.header_hash(as_json(block)) == block.hash


def test_genesis_hash_can_be_recomputed_from_the_json_fields() -> None:
    block = DevChain(DevchainOptions(chain_id=CHAIN_ID)).head
    assert reference.header_hash(as_json(block)) == block.hash


@pytest.mark.parametrize("logs_per_block", [0, 1, 40])
def test_roots_and_bloom_commit_to_the_json_bodies(logs_per_block: int) -> None:
    block = made_block(logs_per_block)
    shown, receipts = as_json(block), receipts_json(block)
    transactions = [reference.encoded_transaction(each) for each in shown["transactions"]]
    assert ordered_root(transactions) == reference.data(shown["transactionsRoot"])
    encoded_receipts = [reference.encoded_receipt(each) for each in receipts]
    assert ordered_root(encoded_receipts) == reference.data(shown["receiptsRoot"])
    assert reference.bloom(logs_json(block)) == shown["logsBloom"]


def test_transaction_hash_is_that_of_its_json_fields() -> None:
    for transaction in as_json(made_block())["transactions"]:
        encoded = reference.encoded_transaction(transaction)
        assert "0x" + keccak(encoded).hex() == transaction["hash"]


def test_each_receipt_has_the_bloom_of_its_own_logs() -> None:
    for receipt in receipts_json(made_block()):
        assert reference.bloom(receipt["logs"]) == receipt["logsBloom"]


def test_gas_adds_up_over_the_receipts_to_that_of_the_block() -> None:
    block = made_block()
    used = 0
    for receipt in receipts_json(block):
        used += int(receipt["gasUsed"], 16)
        assert int(receipt["cumulativeGasUsed"], 16) == used
    assert int(as_json(block)["gasUsed"], 16) == used > 0


def test_log_indices_are_contiguous_over_transactions_with_several_logs() -> None:
    logs = [Log.parse("0x" + "ab" * 20, ["0x" + f"{i:064x}"]) for i in range(7)]
    calls = [call_of_logs(logs[i : i + 3], account(0)) for i in (0, 3, 6)]
    block = DevChain(DevchainOptions()).mine(1_800_000_000, calls)
    shown = logs_json(block)
    assert [log["logIndex"] for log in shown] == [hex(i) for i in range(7)]
    assert [log["transactionIndex"] for log in shown] == ["0x0"] * 3 + ["0x1"] * 3 + ["0x2"]
    assert [log for receipt in receipts_json(block) for log in receipt["logs"]] == shown


def test_generated_logs_are_erc20_transfers_that_match_their_transaction() -> None:
    for transaction, log in zip(as_json(made_block())["transactions"], logs_json(made_block()), strict=True):
        assert log["topics"][0] == "0x" + TRANSFER_TOPIC.hex()
        assert log["topics"][1][-40:] == transaction["from"][2:]
        assert log["address"] == transaction["to"]
        assert transaction["input"] == "0xa9059cbb" + log["topics"][2][2:] + log["data"][2:]
        assert int(log["data"], 16) > 0


def shape(value: Any) -> str:
    """The form of a JSON value, without its content: hex of a fixed size, or a quantity."""
    if not isinstance(value, str):
        return type(value).__name__
    digits = len(value) - 2
    return f"{digits // 2} bytes" if digits in (16, 40, 64, 512) else "short hex"


def shapes(record: dict[str, Any], *unlike: str) -> dict[str, str]:
    return {name: shape(value) for name, value in record.items() if name not in unlike}


def test_block_has_the_fields_and_forms_of_anvil() -> None:
    theirs = shapes(ANVIL["block"], "totalDifficulty")
    assert shapes(as_json(made_block())) == theirs


def test_transaction_has_the_fields_and_forms_of_anvil() -> None:
    """`r` and `s` are quantities, so their length says nothing."""
    theirs = shapes(ANVIL["block"]["transactions"][0], "r", "s", "input")
    ours = as_json(made_block())["transactions"][0]
    assert {"r", "s", "input"} < ours.keys()
    assert shapes(ours, "r", "s", "input") == theirs


def test_receipt_has_the_fields_and_forms_of_anvil() -> None:
    """Without two that anvil adds and geth doesn't have."""
    theirs = shapes(ANVIL["receipts"][0], "blobGasPrice", "blockTimestamp")
    assert shapes(receipts_json(made_block())[0]) == theirs


def test_log_has_the_fields_and_forms_of_anvil() -> None:
    assert shapes(logs_json(made_block())[0]) == shapes(ANVIL["logs"][0])
