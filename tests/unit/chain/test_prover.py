"""Blocks proven against a node that leaves out, cuts off, refuses or does not know."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookfarm.chain.block import Block
from hookfarm.chain.completeness import SATURATED_BLOOM
from hookfarm.chain.log_judge import BEYOND_BLOOM, CONSTANT_BLOOM, RENUMBERED
from hookfarm.chain.prover import Prover, halves
from hookfarm.chain.rpc import Incomplete, Refused
from hookfarm.errors import ChainUnavailable
from tests.support.chain_samples import (
    ZERO_BLOOM,
    full_block,
    log,
    raw_header,
    receipts,
    transaction_hash,
)
from tests.support.fake_node import FakeNode

ETHEREUM, POLYGON, FILECOIN, HYPEREVM, STABLE = 1, 137, 314, 999, 988
UNLISTED = 4711
"""A chain without a profile."""


def run(scenario: Callable[[], Awaitable[list[Block]]]) -> list[Block]:
    async def inner() -> list[Block]:
        return await scenario()

    return asyncio.run(inner())


def by_hash(node: FakeNode, *numbers: int, verify: str = "bloom") -> list[Block]:
    headers = [node.header_of(number) for number in numbers]
    return run(lambda: Prover(UNLISTED, verify).blocks(node, headers))


def logs_in(blocks: list[Block]) -> list[int]:
    return [len(block.events) for block in blocks]


def indices_in(blocks: list[Block]) -> list[int]:
    return [json.loads(event)["log_index"] for block in blocks for event in block.events]


def hide_blooms(node: FakeNode, bloom: str | None = ZERO_BLOOM) -> None:
    node.chain = {n: (replace(header, logs_bloom=bloom), logs) for n, (header, logs) in node.chain.items()}


def test_blocks_by_hash_are_one_request() -> None:
    node = FakeNode(logs=3)
    assert logs_in(by_hash(node, 4, 5, 6)) == [3, 3, 3]
    assert [[call[0] for call in calls] for calls in node.requests] == [["eth_getLogs"] * 3]


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_log_that_was_left_out_comes_from_the_receipts(missing: int) -> None:
    node = FakeNode(logs=3)
    whole = node.chain[5][1]
    node.answered[5] = whole[:missing] + whole[missing + 1 :]
    assert logs_in(by_hash(node, 4, 5)) == [3, 3]
    assert node.asked("eth_getBlockReceipts") == 1


@pytest.mark.parametrize("wrong", ["incomplete", "none", "null"])
def test_without_receipts_that_prove_it_a_block_is_incomplete(wrong: str) -> None:
    node = FakeNode(logs=3)
    node.answered[5] = node.chain[5][1][:2]
    if wrong == "incomplete":
        node.receipts[5] = receipts(node.header_of(5), node.chain[5][1][:2])
    elif wrong in ("none", "null"):
        node.receipts[5] = [] if wrong == "none" else None
    with pytest.raises(Incomplete, match="block 5: 2 logs do not make the header's bloom"):
        by_hash(node, 5)


def test_receipts_of_which_one_is_missing_prove_nothing() -> None:
    node = FakeNode(logs=6)
    node.answered[5] = node.chain[5][1][:2]
    node.receipts[5] = receipts(*node.chain[5])[1:]
    node.whole[5] = {
        **raw_header(node.header_of(5)),
        "transactions": [transaction_hash(node.header_of(5), i) for i in range(3)],
    }
    with pytest.raises(Incomplete, match=r"block 5: 2 logs do not .* are missing; in its receipts: log indices"):
        by_hash(node, 5)


def without_block_receipts(node: FakeNode) -> FakeNode:
    node.receipts_supported = False
    return node


@pytest.mark.parametrize("verify", ["bloom", "contiguous", "receipts"])
def test_without_receipts_of_whole_blocks_each_is_asked_for(verify: str) -> None:
    node = without_block_receipts(FakeNode(logs=6))
    node.answered[5] = node.chain[5][1][1:]
    assert logs_in(by_hash(node, 5, verify=verify)) == [6]
    assert node.asked("eth_getTransactionReceipt") == 3


def test_a_round_number_of_logs_without_a_bloom_comes_from_receipts_one_by_one() -> None:
    node = without_block_receipts(FakeNode(head=5, logs=1000))
    hide_blooms(node)
    assert logs_in(by_hash(node, 5)) == [1000]
    assert node.asked("eth_getTransactionReceipt") == 500


@pytest.mark.parametrize("supported", [True, False])
def test_a_node_that_refuses_logs_is_asked_for_receipts(supported: bool) -> None:
    node = Refusing(logs=6)
    node.receipts_supported = supported
    prover = Prover(UNLISTED)
    assert logs_in(run(lambda: prover.blocks(node, [node.header_of(4), node.header_of(5)]))) == [6, 6]
    assert (prover.repaired, prover.beyond_bloom) == (0, 0)
    assert logs_in(range_of(node, 4, 9)) == [6] * 6


class Refusing(FakeNode):
    """As BSC's own endpoints, which have no `eth_getLogs`."""

    def _answer(self, method: str, parameters: list[Any]) -> Any:
        refusal = Refused("eth_getLogs: -32005 limit exceeded")
        return refusal if method == "eth_getLogs" else super()._answer(method, parameters)


def beyond_bloom(node: FakeNode, number: int) -> list[dict[str, Any]]:
    """Adds a log that the header's bloom leaves out, and returns all of the block."""
    of, logs = node.chain[number]
    logs = [*logs, log(of, len(logs), transaction=9, topic=7)]
    node.chain[number] = (of, logs)
    return logs


def test_logs_beyond_the_bloom_on_which_logs_and_receipts_agree_are_taken_and_said_once() -> None:
    node, prover = FakeNode(logs=3), Prover(UNLISTED)
    for number in (5, 7):
        beyond_bloom(node, number)
    headers = [node.header_of(number) for number in (5, 6, 7)]
    assert logs_in(run(lambda: prover.blocks(node, headers))) == [4, 3, 4]
    assert (prover.beyond_bloom, prover.repaired) == (2, 0)
    assert prover.notices == [(BEYOND_BLOOM, 5)]


@pytest.mark.parametrize("fewer", ["logs", "receipts"])
def test_logs_beyond_the_bloom_that_only_one_of_them_has_prove_nothing(fewer: str) -> None:
    node = FakeNode(logs=3)
    logs = beyond_bloom(node, 5)
    other = [*logs, log(node.header_of(5), 4, transaction=9, topic=8)]
    if fewer == "logs":
        node.receipts[5] = receipts(node.header_of(5), other)
        node.whole[5] = {
            **raw_header(node.header_of(5)),
            "transactions": [transaction_hash(node.header_of(5), i) for i in range(10)],
        }
    else:
        node.answered[5] = other
    with pytest.raises(Incomplete, match="set bits that the header's bloom lacks"):
        by_hash(node, 5)


def test_indices_that_do_not_start_at_0_are_taken_if_the_bloom_and_both_sources_agree() -> None:
    """As of a node that leaves out the logs of the system, but counts them."""
    node = FakeNode(logs=3)
    of, logs = node.chain[5]
    node.chain[5] = (of, [{**each, "logIndex": hex(2 + i)} for i, each in enumerate(logs)])
    assert indices_in(by_hash(node, 5)) == [2, 3, 4]


def test_duplicate_indices_are_replaced_by_the_places_in_the_receipts_if_both_sources_agree() -> None:
    node, prover = FakeNode(logs=3), Prover(1)
    of, logs = node.chain[5]
    node.chain[5] = (of, [{**each, "logIndex": "0x2"} for each in logs])
    assert indices_in(run(lambda: prover.blocks(node, [of]))) == [0, 1, 2]
    assert (prover.renumbered, prover.repaired, prover.notices) == (1, 0, [(RENUMBERED, 5)])
    node.answered[5] = node.chain[5][1][:2]
    with pytest.raises(Incomplete, match="log indices are not 0 to 2"):
        by_hash(node, 5)


@pytest.mark.parametrize(("indices", "taken"), [([0, 1, 0], True), ([0, 1, 3], False), ([1, 2, 3], False)])
def test_without_a_bloom_an_index_beyond_the_number_of_logs_shows_a_missing_one(
    indices: list[int], taken: bool
) -> None:
    node = FakeNode(logs=3)
    hide_blooms(node)
    of, logs = node.chain[5]
    node.chain[5] = (of, [{**each, "logIndex": hex(i)} for each, i in zip(logs, indices, strict=True)])
    if taken:
        assert indices_in(by_hash(node, 5)) == [0, 1, 2]
        return
    with pytest.raises(Incomplete, match="log indices"):
        by_hash(node, 5)


def test_a_missing_log_is_not_made_up_for_by_one_beyond_the_bloom() -> None:
    node = FakeNode(logs=3)
    of, logs = node.chain[5]
    node.chain[5] = (of, [log(of, 0, transaction=0, topic=7), *logs[1:]])
    with pytest.raises(Incomplete, match="some are missing"):
        by_hash(node, 5)


def test_only_logs_of_the_system_are_taken_under_a_bloom_of_zeros_if_the_receipts_have_them() -> None:
    node, prover = FakeNode(logs=3), Prover(UNLISTED)
    node.chain[5] = (replace(node.header_of(5), logs_bloom=ZERO_BLOOM), node.chain[5][1])
    assert logs_in(run(lambda: prover.blocks(node, [node.header_of(4), node.header_of(5)]))) == [3, 3]
    assert prover.notices == [(BEYOND_BLOOM, 5)]


OTHER_BLOOM = "0x" + "00" * 200 + "ff" * 56


@pytest.mark.parametrize("bloom", [SATURATED_BLOOM, OTHER_BLOOM])
def test_a_bloom_that_never_changes_is_none(bloom: str) -> None:
    node, prover = FakeNode(logs=3), Prover(UNLISTED)
    node.chain[8] = full_block(8, 0)
    hide_blooms(node, bloom)
    assert logs_in(run(lambda: prover.blocks(node, [node.header_of(n) for n in (7, 8, 9)]))) == [3, 0, 3]
    assert node.asked("eth_getBlockReceipts") == 1
    assert prover.notices == [(CONSTANT_BLOOM, 7)]
    assert logs_in(run(lambda: prover.range(node, 20, 60))) == [3] * 41
    node.answered[30] = node.chain[30][1][1:]
    assert logs_in(run(lambda: prover.range(node, 20, 60))) == [3] * 41, "indices still count"


def test_a_bloom_that_other_blocks_lack_is_a_proof_even_if_logs_and_receipts_agree() -> None:
    node = FakeNode(logs=3)
    node.chain[5] = (replace(node.header_of(5), logs_bloom=SATURATED_BLOOM), node.chain[5][1])
    with pytest.raises(Incomplete, match="some are missing"):
        by_hash(node, 5)


def test_logs_beyond_a_bloom_that_is_known_to_be_whole_are_refused() -> None:
    node = FakeNode(logs=3)
    beyond_bloom(node, 5)
    with pytest.raises(Incomplete, match="set bits that the header's bloom lacks"):
        run(lambda: Prover(ETHEREUM).blocks(node, [node.header_of(5)]))


@pytest.mark.parametrize("bloom", [ZERO_BLOOM, SATURATED_BLOOM, None])
def test_a_constant_or_absent_bloom_is_refused_where_blooms_are_known_to_be_whole(bloom: str | None) -> None:
    node = FakeNode(logs=3)
    hide_blooms(node, bloom)
    with pytest.raises(Incomplete):
        run(lambda: Prover(ETHEREUM).blocks(node, [node.header_of(5)]))


def test_a_bloom_of_zeros_proves_an_empty_block_where_blooms_are_known_to_be_whole() -> None:
    node = FakeNode(logs=0)
    for chain_id, calls in ((ETHEREUM, ["eth_getLogs"]), (UNLISTED, ["eth_getLogs", "eth_getBlockByHash"])):
        node.requests.clear()
        assert logs_in(run(lambda: Prover(chain_id).blocks(node, [node.header_of(5)]))) == [0]  # noqa: B023
        assert [[call[0] for call in each] for each in node.requests] == [calls]


def test_a_chain_known_for_blooms_that_prove_nothing_costs_no_request_to_find_out() -> None:
    node, prover = FakeNode(logs=3), Prover(FILECOIN)
    hide_blooms(node, SATURATED_BLOOM)
    assert logs_in(run(lambda: prover.blocks(node, [node.header_of(n) for n in (7, 8, 9)]))) == [3, 3, 3]
    assert node.asked("eth_getBlockReceipts") == 0
    assert prover.notices == []


def test_system_logs_of_a_known_chain_are_taken_from_its_first_block_on_if_the_receipts_have_them() -> None:
    node, prover = FakeNode(logs=3), Prover(HYPEREVM)
    node.chain[5] = (replace(node.header_of(5), logs_bloom=ZERO_BLOOM), node.chain[5][1])
    assert logs_in(run(lambda: prover.blocks(node, [node.header_of(5)]))) == [3]
    assert (prover.beyond_bloom, node.asked("eth_getBlockReceipts")) == (1, 1)


def test_logs_of_a_chain_with_wrong_indices_are_numbered_by_their_order_and_proven_by_the_bloom() -> None:
    node = FakeNode(logs=3)
    of, logs = node.chain[5]
    node.answered[5] = [{**each, "logIndex": hex(index)} for each, index in zip(logs, (0, 0, 7), strict=True)]
    [block] = run(lambda: Prover(STABLE).blocks(node, [of]))
    assert [orjson.loads(event)["log_index"] for event in block.events] == [0, 1, 2]
    node.answered[5] = node.answered[5][:2]
    assert logs_in(run(lambda: Prover(STABLE).blocks(node, [of]))) == [3], "the bloom shows the missing log"


def test_an_announced_block_is_one_request_and_only_its_number_is_trusted() -> None:
    node = FakeNode(logs=3)
    assert logs_in(canonical(node, 5, hint=node.header_of(5).block_hash)) == [3]
    assert [[call[0] for call in calls] for calls in node.requests] == [["eth_getBlockByNumber", "eth_getLogs"]]
    [block] = canonical(node, 5, hint=node.header_of(6).block_hash)
    assert (block.header, len(block.events)) == (node.header_of(5), 3)


def canonical(node: FakeNode, *numbers: int, hint: str = "") -> list[Block]:
    return run(lambda: Prover(UNLISTED).canonical(node, numbers, hint))


def test_an_announced_block_that_the_node_does_not_have_is_unavailable() -> None:
    node = FakeNode(logs=3)
    node.whole[5] = None
    with pytest.raises(ChainUnavailable, match="does not have block 5"):
        canonical(node, 5, hint=node.header_of(5).block_hash)


def test_null_is_not_taken_for_no_logs() -> None:
    node = FakeNode()
    node.answered[5] = None  # type: ignore[assignment]
    with pytest.raises(ChainUnavailable, match="eth_getLogs: None instead of a list"):
        by_hash(node, 5)


@pytest.mark.parametrize("bloom", [ZERO_BLOOM, None])
def test_a_chain_without_blooms_is_judged_by_indices(bloom: str | None) -> None:
    node = FakeNode(logs=3)
    hide_blooms(node, bloom)
    assert logs_in(by_hash(node, 4, 5)) == [3, 3]
    node.answered[5] = node.chain[5][1][1:]
    assert logs_in(by_hash(node, 5)) == [3], "the receipts have it"


def test_without_blooms_a_node_must_know_the_block_whose_logs_it_answers() -> None:
    class Unaware(FakeNode):
        def _answer(self, method: str, parameters: list[object]) -> object:
            return None if method == "eth_getBlockByHash" else super()._answer(method, parameters)

    node = Unaware(logs=0)
    hide_blooms(node)
    with pytest.raises(ChainUnavailable, match="does not have a block"):
        by_hash(node, 5)


def test_a_bloom_of_zeros_hides_no_logs() -> None:
    node = FakeNode(logs=2)
    node.chain[5] = (replace(node.header_of(5), logs_bloom=ZERO_BLOOM), node.chain[5][1])
    assert logs_in(by_hash(node, 4, 5, 6)) == [2, 2, 2]
    assert logs_in(range_of(node, 4, 40)) == [2] * 37


def test_logs_under_a_bloom_of_zeros_are_compared_with_the_receipts_on_a_chain_that_has_blooms() -> None:
    node = FakeNode(logs=3)
    node.chain[5] = (replace(node.header_of(5), logs_bloom=ZERO_BLOOM), node.chain[5][1])
    node.answered[5] = node.chain[5][1][:2]
    assert logs_in(by_hash(node, 4, 5)) == [3, 3]
    assert node.asked("eth_getBlockReceipts") == 1


def test_contiguous_does_not_look_at_blooms() -> None:
    node = FakeNode(logs=3)
    more = log(node.header_of(5), 3, transaction=9, topic=7)
    node.answered[5] = [*node.chain[5][1], more]
    assert logs_in(by_hash(node, 5, verify="contiguous")) == [4]
    assert logs_in(by_hash(node, 5)) == [3], "the receipts prove the others"


def test_polygon_is_known_for_logs_that_its_old_blooms_leave_out() -> None:
    node = FakeNode(logs=3)
    node.answered[5] = [*node.chain[5][1], log(node.header_of(5), 3, transaction=9, topic=7)]
    assert logs_in(run(lambda: Prover(POLYGON).blocks(node, [node.header_of(5)]))) == [4]
    assert node.asked("eth_getBlockReceipts") == 0
    node.answered[5] = []
    assert logs_in(run(lambda: Prover(POLYGON).blocks(node, [node.header_of(5)]))) == [3], (
        "an empty answer is doubted"
    )


def test_the_blooms_of_polygon_are_whole_since_they_have_the_logs_of_state_syncs() -> None:
    node, number = FakeNode(logs=3), 80_084_800
    node.chain[number] = full_block(number, 3)
    of, logs = node.chain[number]
    node.answered[number] = [*logs, log(of, 3, transaction=9, topic=7)]
    assert logs_in(run(lambda: Prover(POLYGON).blocks(node, [of]))) == [3], "those of the receipts"


def test_receipts_are_asked_for_instead_of_logs_where_so_wished() -> None:
    node = FakeNode(logs=3)
    assert logs_in(by_hash(node, 4, 5, verify="receipts")) == [3, 3]
    assert node.asked("eth_getLogs") == 0
    node.receipts[5] = receipts(node.header_of(5), node.chain[5][1][:2])
    assert logs_in(by_hash(node, 5, verify="receipts")) == [3], "eth_getLogs has it"
    node.answered[5] = node.chain[5][1][:2]
    with pytest.raises(Incomplete):
        by_hash(node, 5, verify="receipts")


def test_none_takes_what_comes() -> None:
    node = FakeNode(logs=3)
    node.answered[5] = node.chain[5][1][1:]
    assert logs_in(by_hash(node, 5, verify="none")) == [2]
    assert node.asked("eth_getBlockByHash") == 0, "nothing is proven, so nothing more is asked for"


def range_of(node: FakeNode, first: int, last: int, verify: str = "bloom") -> list[Block]:
    return run(lambda: Prover(UNLISTED, verify).range(node, first, last))


def test_ranges_at_once_prove_one_block_per_turn_of_the_loop() -> None:
    """So the catch-up of a chain leaves turns to the other chains of its process, however many logs it has."""
    node, prover = FakeNode(), Prover(1)

    async def main() -> tuple[int, int]:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count())
        found = await asyncio.gather(*(prover.range(node, first, first + 19) for first in (1, 21, 41, 61)))
        counting.cancel()
        return turns, sum(map(len, found))

    turns, blocks = asyncio.run(main())
    assert blocks == 80
    assert turns >= blocks


def test_a_range_is_two_requests() -> None:
    node = FakeNode(logs=3)
    blocks = range_of(node, 10, 59)
    assert [block.header.number for block in blocks] == list(range(10, 60))
    assert set(logs_in(blocks)) == {3}
    assert len(node.requests) == 2


def test_a_refused_range_is_halved_until_it_is_taken_and_that_is_remembered() -> None:
    node = FakeNode(logs=1)
    node.longest_range = 7
    assert len(range_of(node, 1, 64)) == 64
    assert node.profile.ranges.blocks <= 7
    node.longest_range = 0
    assert len(range_of(node, 1, 9)) == 9, "block by block in the end"


@pytest.mark.parametrize("cap", [1000, 2000])
def test_an_answer_cut_off_at_a_round_number_is_asked_for_in_parts(cap: int) -> None:
    node = FakeNode(logs=64)
    hide_blooms(node)
    node.most_logs = cap
    assert logs_in(range_of(node, 1, 64)) == [64] * 64


def test_in_a_range_each_block_is_proven() -> None:
    node = FakeNode(logs=3)
    node.answered[20] = node.chain[20][1][:2]
    node.answered[30] = []
    assert set(logs_in(range_of(node, 10, 40))) == {3}
    assert node.asked("eth_getBlockReceipts") == 2
    node.receipts[20] = receipts(node.header_of(20), node.chain[20][1][:2])
    with pytest.raises(Incomplete, match="block 20"):
        range_of(node, 10, 40)


def test_a_range_beyond_the_nodes_own_head_is_not_believed() -> None:
    node = FakeNode(head=50, logs=0)
    hide_blooms(node)
    del node.chain[50]
    with pytest.raises(ChainUnavailable, match="does not have block 50"):
        run(lambda: one(node.logs_between(40, 50)))


async def one(answer: Awaitable[list[object]]) -> list[Block]:
    await answer
    return []


def test_logs_from_outside_the_range_are_refused() -> None:
    node = FakeNode(logs=1)
    node.answered[20] = [*node.chain[20][1], *node.chain[60][1]]
    assert logs_in(range_of(node, 20, 21)) == [1, 1]
    node.receipts_supported = False
    node.chain[20] = (node.chain[20][0], node.answered[20])
    with pytest.raises(ChainUnavailable):
        range_of(node, 20, 21)


def test_a_lost_node_is_not_asked_for_smaller_ranges() -> None:
    node = FakeNode(logs=1)
    node.longest_range = 1
    node.lost = True
    with pytest.raises(ChainUnavailable):
        range_of(node, 1, 64)
    assert node.asked("eth_getLogs") == 1


@given(st.integers(0, 10**9), st.integers(1, 10**6))
def test_halves_make_the_whole(first: int, more: int) -> None:
    (a, b), (c, d) = halves(first, first + more)
    assert (a, d) == (first, first + more)
    assert b + 1 == c
    assert a <= b
    assert c <= d
