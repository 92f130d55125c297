"""Blocks of nodes whose index lags, whose receipts are more or fewer, and whose logs name another block."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from hookfarm.chain.block import Block
from hookfarm.chain.prover import Prover
from hookfarm.chain.rpc import Incomplete
from tests.support.chain_samples import ZERO_BLOOM, full_block, receipts, transaction_hash
from tests.support.fake_node import FakeNode
from tests.unit.chain.test_prover import hide_blooms, logs_in

ETHEREUM, HYPEREVM, POLYGON, UNLISTED = 1, 999, 137, 4711


def blocks(node: FakeNode, *numbers: int, prover: Prover | None = None) -> list[Block]:
    headers = [node.header_of(number) for number in numbers]
    return asyncio.run((prover or Prover(UNLISTED)).blocks(node, headers))


@pytest.mark.parametrize("bloom", [ZERO_BLOOM, None])
def test_an_empty_answer_without_a_bloom_is_confirmed_by_the_receipts(bloom: str | None) -> None:
    node, prover = FakeNode(logs=3), Prover(UNLISTED)
    hide_blooms(node, bloom)
    node.answered[5] = []
    assert logs_in(blocks(node, 4, 5, prover=prover)) == [3, 3]
    assert prover.repaired == 1
    node.receipts_supported = False
    assert logs_in(blocks(node, 5)) == [3]


def test_an_empty_answer_that_no_receipts_confirm_is_incomplete() -> None:
    node = FakeNode(logs=3)
    hide_blooms(node)
    node.answered[5], node.receipts[5] = [], None
    with pytest.raises(Incomplete, match="no logs, which no bloom proves"):
        blocks(node, 5)


def test_a_block_without_transactions_and_gas_needs_no_other_request() -> None:
    node = FakeNode(logs=3)
    node.chain[5] = full_block(5, 0)
    hide_blooms(node)
    assert logs_in(blocks(node, 5)) == [0]
    assert len(node.requests) == 1


def empty_with_transactions(node: FakeNode, number: int) -> None:
    node.chain[number] = (replace(full_block(number, 0)[0], is_empty=False), [])


@pytest.mark.parametrize(("chain_id", "requests"), [(ETHEREUM, 1), (HYPEREVM, 2), (POLYGON, 2)])
def test_a_bloom_of_zeros_proves_no_logs_where_other_blooms_prove_all(chain_id: int, requests: int) -> None:
    node = FakeNode(logs=3)
    empty_with_transactions(node, 5)
    assert logs_in(blocks(node, 4, 5, prover=Prover(chain_id))) == [3, 0]
    assert len(node.requests) == requests


def test_once_logs_were_beyond_the_bloom_a_bloom_of_zeros_proves_nothing() -> None:
    node, prover = FakeNode(logs=3), Prover(UNLISTED)
    node.chain[5] = (replace(node.header_of(5), logs_bloom=ZERO_BLOOM), node.chain[5][1])
    assert logs_in(blocks(node, 4, 5, prover=prover)) == [3, 3]
    node.chain[6] = (replace(node.header_of(6), logs_bloom=ZERO_BLOOM), node.chain[6][1])
    node.answered[6] = []
    assert logs_in(blocks(node, 6, prover=prover)) == [3]


def test_of_duplicate_receipts_that_with_the_index_of_its_transaction_counts() -> None:
    node = FakeNode(logs=4)
    of, logs = node.chain[5]
    own = receipts(of, logs)
    node.answered[5] = []
    node.receipts[5] = [{**own[0], "transactionIndex": "0x9", "logs": []}, *own]
    assert logs_in(blocks(node, 5)) == [4]
    node.receipts[5] = [*own, {**own[0], "transactionIndex": "0x9", "logs": []}]
    assert logs_in(blocks(node, 5)) == [4]


@pytest.mark.parametrize("verify", ["bloom", "receipts"])
def test_a_null_among_the_receipts_is_asked_for_singly(verify: str) -> None:
    node = FakeNode(logs=4)
    own = receipts(*node.chain[5])
    node.answered[5] = []
    node.receipts[5] = [own[0], None]
    single = {transaction_hash(node.header_of(5), 1): own[1]}
    answer = node._answer

    def singly(method: str, parameters: list[Any]) -> Any:
        return single[parameters[0]] if method == "eth_getTransactionReceipt" else answer(method, parameters)

    node._answer = singly  # type: ignore[method-assign]
    assert logs_in(blocks(node, 5, prover=Prover(ETHEREUM, verify))) == [4]


def test_logs_with_another_block_hash_come_from_the_receipts_of_the_block() -> None:
    node = FakeNode(logs=3)
    of, logs = node.chain[5]
    node.chain[5] = (of, [{**log, "blockHash": node.header_of(6).block_hash} for log in logs])
    assert logs_in(blocks(node, 5)) == [3]
    node.receipts[5] = [{**each, "blockHash": node.header_of(6).block_hash} for each in receipts(*node.chain[5])]
    with pytest.raises(Incomplete, match="another block than 5"):
        blocks(node, 5)


def test_without_a_proof_too_no_two_logs_get_one_index() -> None:
    node = FakeNode(logs=3)
    of, logs = node.chain[5]
    node.chain[5] = (of, [{**log, "logIndex": "0x7"} for log in logs])
    assert logs_in(blocks(node, 5, prover=Prover(ETHEREUM, "none"))) == [3]
    node.receipts[5] = None
    with pytest.raises(Incomplete, match="not distinct"):
        blocks(node, 5, prover=Prover(ETHEREUM, "none"))
