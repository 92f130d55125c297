"""Transfers proven against a node that leaves out, mixes up or does not know."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson
import pytest

from hookfarm.chain.block import Block, Header
from hookfarm.chain.prover import MAX_WHOLE_BLOCKS, Prover
from hookfarm.chain.rpc import Incomplete
from hookfarm.chain.transfers import ZERO_HASH
from hookfarm.errors import ChainUnavailable
from hookfarm.records import parse_transfer
from tests.support.chain_samples import bloom_of, log, raw_header, word
from tests.support.fake_node import FakeNode

SENDER, RECIPIENT, CREATED = "0x" + "Aa" * 20, "0x" + "Bb" * 20, "0x" + "Cc" * 20
UNLISTED = 4711
"""A chain without a profile."""
WHOLE_NUMBER = 5


def transaction(of: Header, index: int, value: int = 7, **changes: Any) -> dict[str, Any]:
    return {
        "hash": word(1000 * of.number + index),
        "blockHash": of.block_hash.upper().replace("0X", "0x"),
        "transactionIndex": hex(index),
        "from": SENDER,
        "to": RECIPIENT,
        "value": hex(value),
        **changes,
    }


def receipt(of: Header, index: int, logs: Sequence[Any] = (), **changes: Any) -> dict[str, Any]:
    return {
        "transactionHash": word(1000 * of.number + index),
        "blockHash": of.block_hash,
        "transactionIndex": hex(index),
        "status": "0x1",
        "contractAddress": None,
        "logs": [each for each in logs if each["transactionIndex"] == hex(index)],
        **changes,
    }


def node_with(
    count: int = 3,
    logs: int = 2,
    numbers: Sequence[int] = (WHOLE_NUMBER,),
    kind: type[FakeNode] = FakeNode,
) -> FakeNode:
    """Its blocks of these numbers have `count` transactions with a value each."""
    node = kind(logs=logs)
    for number in numbers:
        of, raw = node.chain[number]
        transactions = [transaction(of, index) for index in range(count)]
        node.whole[number] = {**raw_header(of), "transactions": transactions}
        node.receipts[number] = [receipt(of, index, raw) for index in range(count)]
    return node


def canonical(
    node: FakeNode, numbers: Sequence[int] = (WHOLE_NUMBER,), hint: int | None = None, verify: str = "bloom"
) -> list[Block]:
    prover = Prover(UNLISTED, verify)
    prover.transfers = True
    return asyncio.run(prover.canonical(node, numbers, "" if hint is None else node.header_of(hint).block_hash))


def transfers_in(blocks: list[Block]) -> list[int]:
    return [len(block.transfers or ()) for block in blocks]


def transfers_of(block: Block) -> list[Any]:
    return [orjson.loads(each) for each in block.transfers or ()]


def change(node: FakeNode, what: str, index: int, **changes: Any) -> None:
    found = node.whole[WHOLE_NUMBER]["transactions"] if what == "transaction" else node.receipts[WHOLE_NUMBER]
    found[index] = {**found[index], **changes}


def test_a_transaction_with_a_value_that_succeeded_is_a_transfer() -> None:
    [block] = canonical(node_with(1))
    [transfer] = transfers_of(block)
    assert transfer == {
        "kind": "transfer",
        "chain_id": UNLISTED,
        "block_number": 5,
        "block_hash": block.header.block_hash,
        "block_timestamp": block.header.timestamp,
        "transaction_hash": word(5000),
        "transaction_index": 0,
        "from": SENDER.lower(),
        "to": RECIPIENT.lower(),
        "value": "7",
        "removed": False,
    }
    assert parse_transfer(transfer) == transfer


def test_what_failed_or_has_no_value_is_none() -> None:
    node = node_with(4)
    change(node, "receipt", 1, status="0x0")
    change(node, "transaction", 2, value="0x0")
    [block] = canonical(node)
    assert [each["transaction_index"] for each in transfers_of(block)] == [0, 3]


def test_a_creation_goes_to_the_contract_that_it_created() -> None:
    node = node_with(1)
    change(node, "transaction", 0, to=None)
    change(node, "receipt", 0, contractAddress=CREATED)
    [block] = canonical(node)
    assert [each["to"] for each in transfers_of(block)] == [CREATED.lower()]


def test_a_value_of_256_bits_is_exact() -> None:
    node = node_with(1)
    change(node, "transaction", 0, value=hex(2**256 - 1))
    [block] = canonical(node)
    assert [each["value"] for each in transfers_of(block)] == [str(2**256 - 1)]


def test_the_receipts_give_the_logs_as_well() -> None:
    node = node_with(3, logs=4)
    [block] = canonical(node)
    assert (len(block.events), transfers_in([block])) == (4, [3])
    assert node.asked("eth_getLogs") == 0
    assert block.entries == (*(block.transfers or ()), *block.events), "transfers come first"


def test_a_block_whose_hash_was_announced_takes_one_request() -> None:
    node = node_with()
    assert transfers_in(canonical(node, hint=5)) == [3]
    assert [[call[0] for call in calls] for calls in node.requests] == [
        ["eth_getBlockByNumber", "eth_getBlockReceipts"]
    ]


def test_blocks_by_number_take_two_requests_and_no_header_more() -> None:
    node = node_with(numbers=(4, 5, 6))
    assert transfers_in(canonical(node, (4, 5, 6), hint=6)) == [3, 3, 3]
    assert [len(calls) for calls in node.requests] == [3, 3]
    assert node.asked("eth_getBlockByNumber") == 3


def test_a_block_with_another_hash_than_the_announced_one_takes_two_requests() -> None:
    node = node_with()
    assert transfers_in(canonical(node, hint=6)) == [3]
    assert [len(calls) for calls in node.requests] == [2, 1]


def test_without_transfers_nothing_is_asked_for_them() -> None:
    node = node_with()
    [block] = asyncio.run(Prover(UNLISTED).canonical(node, (5,), node.header_of(5).block_hash))
    assert (block.transfers, block.entries) == (None, block.events)
    assert [[call[0] for call in calls] for calls in node.requests] == [["eth_getBlockByNumber", "eth_getLogs"]]


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("what", ["transaction", "receipt"])
def test_one_that_was_left_out_is_found_out(what: str, place: int) -> None:
    node = node_with(3, logs=0)
    del (node.whole[5]["transactions"] if what == "transaction" else node.receipts[5])[place]
    with pytest.raises(ChainUnavailable, match=r"block 5"):
        canonical(node)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_receipt_that_is_missing_among_those_of_the_block_is_asked_for(place: int) -> None:
    class Forgetful(FakeNode):
        def _receipts(self, number: int) -> Any:
            found = super()._receipts(number)
            return (
                found
                if self.requests[-1][0][0] == "eth_getTransactionReceipt"
                else found[:place] + found[place + 1 :]
            )

    node = node_with(3, logs=4, kind=Forgetful)
    [block] = canonical(node)
    assert (transfers_in([block]), len(block.events)) == ([3], 4)
    assert node.asked("eth_getTransactionReceipt") == 1


def system_log(of: Header, index: int, **changes: Any) -> dict[str, Any]:
    return {**log(of, index, transaction=0, topic=77), "transactionHash": ZERO_HASH, **changes}


def test_a_log_of_the_system_without_a_transaction_comes_from_eth_get_logs() -> None:
    """As in the last block of a batch of zkSync: no transactions, no receipts, one log, and a true bloom."""
    node = node_with(0, logs=0)
    logs = [system_log(node.header_of(5), 0)]
    node.chain[5] = (replace(node.header_of(5), logs_bloom=bloom_of(logs)), logs)
    node.whole[5]["logsBloom"] = bloom_of(logs)
    [block] = canonical(node)
    assert (block.transfers, len(block.events)) == ((), 1)
    node.answered[5] = []
    with pytest.raises(Incomplete, match="block 5: 0 logs do not make the header's bloom"):
        canonical(node)


def test_a_receipt_of_the_system_without_a_transaction_gives_its_logs() -> None:
    """As in the blocks of Celo that end an epoch: the hash of the transaction is the block's."""
    node = node_with(1, logs=2)
    of = node.header_of(5)
    more = system_log(of, 2, transactionHash=of.block_hash, transactionIndex="0x1")
    node.whole[5]["logsBloom"] = bloom_of([*node.chain[5][1], more])
    node.receipts[5] += [receipt(of, 1, logs=[more], transactionHash=of.block_hash)]
    [block] = canonical(node)
    assert (transfers_in([block]), len(block.events)) == ([1], 3)


def test_a_transaction_of_the_system_without_a_receipt_moves_nothing() -> None:
    node = node_with(2, logs=2)
    node.whole[5]["transactions"] += [transaction(node.header_of(5), 2, value=0)]
    [block] = canonical(node)
    assert (transfers_in([block]), len(block.events)) == ([2], 2)
    change(node, "transaction", 2, value="0x1")
    with pytest.raises(ChainUnavailable, match="does not have all receipts of block 5"):
        canonical(node)


def test_without_a_bloom_logs_are_not_taken_from_receipts_of_which_some_are_missing() -> None:
    node = node_with(2, logs=4)
    node.whole[5] |= {
        "logsBloom": None,
        "transactions": [transaction(node.header_of(5), i, value=0) for i in (0, 1)],
    }
    del node.receipts[5][1]
    [block] = canonical(node)
    assert len(block.events) == 4, "those of eth_getLogs"


def test_a_receipt_that_is_there_twice_counts_once() -> None:
    node = node_with(3, logs=4)
    node.receipts[5] += [node.receipts[5][0]]
    [block] = canonical(node)
    assert (transfers_in([block]), len(block.events)) == ([3], 4)


@pytest.mark.parametrize("what", ["transaction", "receipt"])
def test_what_is_of_another_block_proves_nothing(what: str) -> None:
    node = node_with()
    change(node, what, 1, blockHash=word(99))
    with pytest.raises(Incomplete, match=r"http://fake: block 5: some of its .* are of another block"):
        canonical(node)


def test_receipts_of_other_transactions_prove_nothing() -> None:
    node = node_with()
    change(node, "receipt", 1, transactionHash=word(99))
    with pytest.raises(Incomplete, match="3 receipts are not those of its 3 transactions"):
        canonical(node)


def test_another_block_than_the_one_asked_for_is_refused() -> None:
    node = node_with()
    node.whole[5]["number"] = "0x63"
    with pytest.raises(ChainUnavailable, match="sent block 99 instead of 5"):
        canonical(node, hint=5)


def test_logs_that_the_receipts_leave_out_are_found_out() -> None:
    node = node_with(3, logs=4)
    change(node, "receipt", 1, logs=[])
    assert len(canonical(node)[0].events) == 4, "eth_getLogs has them"
    node.answered[5] = node.chain[5][1][:2]
    with pytest.raises(Incomplete, match="do not make the header's bloom"):
        canonical(node)
    assert len(canonical(node, verify="none")[0].events) == 2


def test_order_is_that_of_the_block_whatever_the_node_sends() -> None:
    node = node_with(4)
    node.whole[5]["transactions"].reverse()
    node.receipts[5] = node.receipts[5][2:] + node.receipts[5][:2]
    [block] = canonical(node)
    assert [each["transaction_index"] for each in transfers_of(block)] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "wrong",
    [{"transactions": [word(1)]}, {"transactions": None}, {"transactions": [{}]}, {"hash": None}],
)
def test_malformed_transactions_are_no_block_without_any(wrong: dict[str, Any]) -> None:
    node = node_with()
    node.whole[5].update(wrong)
    with pytest.raises(ChainUnavailable, match=r"malformed (transactions of block 5|block header)"):
        canonical(node)


@pytest.mark.parametrize(
    "wrong", [{"status": None}, {"status": "0x2"}, {"transactionHash": None}, {"transactionIndex": None}]
)
def test_a_receipt_that_does_not_say_what_became_of_it_proves_nothing(wrong: dict[str, Any]) -> None:
    node = node_with()
    change(node, "receipt", 1, **wrong)
    with pytest.raises(ChainUnavailable):
        canonical(node)


def test_a_creation_without_its_contract_is_malformed() -> None:
    node = node_with()
    change(node, "transaction", 0, to=None)
    with pytest.raises(ChainUnavailable, match="malformed"):
        canonical(node)


@pytest.mark.parametrize("hint", [None, 5])
@pytest.mark.parametrize("what", ["block", "receipts"])
def test_null_is_not_taken_for_a_block_without_transfers(what: str, hint: int | None) -> None:
    node = node_with(0, logs=0)
    if what == "block" and hint:
        node.whole[5] = None
    else:
        node.receipts[5] = None
    said = "does not have block 5" if what == "block" and hint else "receipts of block 5: None"
    with pytest.raises(ChainUnavailable, match=said):
        canonical(node, hint=hint)


def test_without_receipts_of_whole_blocks_each_is_asked_for() -> None:
    node = node_with(3, logs=4)
    node.receipts_supported = False
    [block] = canonical(node)
    assert (transfers_in([block]), len(block.events)) == ([3], 4)
    assert node.asked("eth_getTransactionReceipt") == 3
    del node.receipts[5][1]
    with pytest.raises(ChainUnavailable, match="does not have all receipts of block 5"):
        canonical(node)


@pytest.mark.parametrize("most", [1, 3, 100])
def test_what_is_too_large_an_answer_is_asked_for_in_halves(most: int) -> None:
    numbers = range(1, 21)
    node = node_with(1, numbers=numbers)
    node.most_whole_blocks = most
    blocks = canonical(node, numbers)
    assert [block.header.number for block in blocks] == list(numbers)
    assert transfers_in(blocks) == [1] * 20
    assert max(len(calls) for calls in node.requests) <= MAX_WHOLE_BLOCKS


def test_ranges_have_their_transfers_and_are_short() -> None:
    node = node_with(2, numbers=range(1, 21))
    prover = Prover(UNLISTED)
    prover.transfers = True
    assert prover.max_blocks(node) == MAX_WHOLE_BLOCKS
    blocks = asyncio.run(prover.range(node, 1, 20))
    assert transfers_in(blocks) == [2] * 20
    assert node.asked("eth_getLogs") == 0


def test_chains_whose_blooms_are_zeros_are_judged_by_indices() -> None:
    node = node_with(3, logs=4)
    zeros = "0x" + "00" * 256
    node.chain = {n: (replace(of, logs_bloom=zeros), raw) for n, (of, raw) in node.chain.items()}
    node.whole[5]["logsBloom"] = zeros
    assert len(canonical(node)[0].events) == 4
    change(node, "receipt", 0, logs=[])
    node.answered[5] = node.chain[5][1][2:]
    with pytest.raises(Incomplete, match="log indices"):
        canonical(node)
