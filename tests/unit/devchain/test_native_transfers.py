"""Transactions that move the chain's own currency, and the blocks that hold them."""

from typing import Any

import pytest
from eth_hash.auto import keccak

from hookfarm.devchain.block import DevBlock
from hookfarm.devchain.chain import DevChain, DevchainOptions
from hookfarm.devchain.encoding import ordered_root, rlp_encode
from hookfarm.devchain.serializers import block_json, logs_json, native_transfers_json, receipt_json
from hookfarm.devchain.transaction import account, native_transfer
from tests.support import evm_reference as reference

NOW = 1_800_000_000
CHAIN_ID = 4711


def generated(transfers_per_block: int = 40, logs_per_block: int = 5, **options: Any) -> DevBlock:
    return chain(transfers_per_block, logs_per_block, **options).mine(NOW)


def chain(transfers_per_block: int = 0, logs_per_block: int = 0, **options: Any) -> DevChain:
    given = DevchainOptions(
        chain_id=CHAIN_ID, logs_per_block=logs_per_block, transfers_per_block=transfers_per_block, **options
    )
    return DevChain(given)


def transactions(block: DevBlock) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = block_json(block, CHAIN_ID, full_transactions=True)["transactions"]
    return found


def receipts(block: DevBlock) -> list[dict[str, Any]]:
    return [receipt_json(block, index) for index in range(len(block.transactions))]


def test_roots_and_hashes_commit_to_values_failures_and_creations() -> None:
    block = generated()
    header = block_json(block, CHAIN_ID, full_transactions=False)
    encoded = [reference.encoded_transaction(each) for each in transactions(block)]
    assert ["0x" + keccak(each).hex() for each in encoded] == [each["hash"] for each in transactions(block)]
    assert ordered_root(encoded) == reference.data(header["transactionsRoot"])
    assert ordered_root(list(map(reference.encoded_receipt, receipts(block)))) == reference.data(
        header["receiptsRoot"]
    )
    assert reference.header_hash(header) == block.hash
    assert len(encoded) == 45


def test_some_of_them_fail_and_some_create_a_contract() -> None:
    statuses = [each["status"] for each in receipts(generated(200, 0))]
    assert {"0x0", "0x1"} == set(statuses)
    assert statuses.count("0x1") > statuses.count("0x0") > 0
    assert any(each["to"] is None for each in transactions(generated(200, 0)))


def test_a_created_contract_has_the_address_that_its_creator_and_nonce_give() -> None:
    block = chain().mine(NOW, [native_transfer(account(1), account(2), 5), native_transfer(account(3), b"", 7)])
    address = "0x" + keccak(rlp_encode([account(3), 1]))[12:].hex()
    assert transactions(block)[1]["to"] is None
    assert (receipts(block)[1]["to"], receipts(block)[1]["contractAddress"]) == (None, address)
    assert [(each["to"], each["value"]) for each in native_transfers_json(block)] == [
        ("0x" + account(2).hex(), "0x5"),
        (address, "0x7"),
    ]


def test_what_failed_or_was_worth_nothing_has_moved_nothing() -> None:
    calls = [native_transfer(account(1), account(2), 5, fails=True), native_transfer(account(1), account(2), 0)]
    block = chain().mine(NOW, calls)
    assert native_transfers_json(block) == []
    assert [each["status"] for each in receipts(block)] == ["0x0", "0x1"]


def test_without_native_transfers_the_blocks_are_what_they_were() -> None:
    assert (
        chain(0, 5).mine(NOW).hash == DevChain(DevchainOptions(chain_id=CHAIN_ID, logs_per_block=5)).mine(NOW).hash
    )


def test_native_transfers_leave_the_logs_of_a_block_as_many_as_they_were() -> None:
    amounts = [sorted(log["data"] for log in logs_json(generated(count, 5))) for count in (0, 7)]
    assert amounts[0] == amounts[1]


def test_the_same_seed_gives_the_same_native_transfers_and_a_reorg_others() -> None:
    first, second = chain(3), chain(3)
    assert first.mine(NOW).hash == second.mine(NOW).hash
    [replaced] = first.reorg(1, NOW).added
    assert native_transfers_json(replaced) != native_transfers_json(second.head)


@pytest.mark.parametrize("history", [10, 25])
def test_native_transfers_count_for_what_is_pruned(history: int) -> None:
    grown = chain(5, history_logs=history)
    for _ in range(10):
        grown.mine(NOW)
    assert grown.head.number - grown.first_with_body + 1 == history // 5
