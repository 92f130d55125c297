"""Filtered reading against a node that leaves out, refuses, or has blooms of several kinds."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookfarm.abi import bloom
from hookfarm.chain.block import Block
from hookfarm.chain.filtered_reader import FilteredReader, LogCriteria, build_criteria
from hookfarm.chain.node_pool import MAX_FILTER_VALUES
from hookfarm.chain.prover import Prover
from hookfarm.devchain.queries import parse_log_filter
from hookfarm.errors import ChainUnavailable
from hookfarm.matching.filters import restrictions
from hookfarm.records import Subscription
from tests.support.chain_samples import ADDRESS, ZERO_BLOOM, bloom_of, full_block, log, word
from tests.support.fake_node import FakeNode
from tests.support.matching import endpoint, index_of, matched
from tests.support.matching import log as event

UNLISTED = 4711
WANTED = "0x" + "c0" * 20
PLACES = (20, 70)
"""Blocks of the tests' chain with two logs of WANTED, behind one of another address."""
BLOCKS = 100


def contract(*addresses: str) -> LogCriteria:
    found = build_criteria([{0: addresses}])
    assert found is not None
    return found


def with_wanted(number: int) -> tuple[Any, list[dict[str, Any]]]:
    of, logs = full_block(number, 3)
    logs = logs[:1] + [each | {"address": WANTED} for each in logs[1:]]
    return replace(of, logs_bloom=bloom_of(logs)), logs


def chain_node() -> FakeNode:
    node = FakeNode(BLOCKS, 3)
    node.chain |= {number: with_wanted(number) for number in PLACES}
    return node


def read(node: FakeNode, criteria: LogCriteria | None = None, prover: Prover | None = None) -> list[Block]:
    return asyncio.run(
        FilteredReader(prover or Prover(UNLISTED), criteria or contract(WANTED)).range(node, 1, BLOCKS)
    )


def read_whole(blocks: Sequence[Block]) -> list[int]:
    return [block.header.number for block in blocks if block.events]


def asked_ranges(node: FakeNode) -> list[dict[str, Any]]:
    calls = [call for calls in node.requests for call in calls if call[0] == "eth_getLogs"]
    return [parameters[0] for _, parameters in calls if "fromBlock" in parameters[0]]


def test_only_blocks_with_the_wanted_logs_are_read_and_the_lowest_one_with_a_bloom() -> None:
    node, prover = chain_node(), Prover(UNLISTED)
    blocks = read(node, prover=prover)
    assert [block.header for block in blocks] == [node.header_of(number) for number in range(1, BLOCKS + 1)]
    assert read_whole(blocks) == [1, *PLACES]
    assert all(len(blocks[number - 1].events) == 3 for number in PLACES)
    assert prover.received == 3 * 3 + 2 * 2


@pytest.mark.parametrize("left_out", [{20}, {20, 70}])
def test_a_block_whose_logs_a_filtered_answer_omits_is_read(left_out: set[int]) -> None:
    node = chain_node()
    node.left_out = left_out
    assert read_whole(read(node)) == [1, *PLACES]


def test_a_bloom_that_only_seems_to_match_costs_the_logs_of_its_block() -> None:
    node = chain_node()
    wanted = bloom.bits_of_hex(WANTED)
    topics, bits, number = [], wanted, 0
    while bits:
        number += 1
        if bloom.bits_of_hex(word(number)) & bits:
            topics.append(word(number))
            bits &= ~bloom.bits_of_hex(word(number))
    of, _ = full_block(30, 0)
    logs = [log(of, index) | {"topics": [topic]} for index, topic in enumerate(topics)]
    node.chain[30] = replace(of, logs_bloom=bloom_of(logs)), logs
    blocks = read(node)
    assert read_whole(blocks) == [1, 20, 30, 70]
    assert len(blocks[29].events) == len(topics)


def test_a_log_that_the_bloom_omits_is_found_if_the_node_reports_it_and_everything_is_read_from_then_on() -> None:
    node, prover = chain_node(), Prover(UNLISTED)
    of, logs = node.chain[70]
    node.chain[70] = replace(of, logs_bloom=bloom_of(logs[:1])), logs
    blocks = read(node, prover=prover)
    assert read_whole(blocks) == [1, *PLACES]
    assert (len(blocks[69].events), prover.beyond_bloom) == (3, 1)
    assert read_whole(read(node, prover=prover)) == list(range(1, BLOCKS + 1))


def test_below_the_first_bloom_all_logs_are_read() -> None:
    """Some chains have blooms only since a certain block. Whatever the filtered answers, no log is missed."""
    node = chain_node()
    for number in range(1, 31):
        of, logs = node.chain[number]
        node.chain[number] = replace(of, logs_bloom=ZERO_BLOOM), logs
    node.left_out = {20}
    blocks = read(node)
    assert read_whole(blocks) == [*range(1, 32), 70]


@pytest.mark.parametrize("shown", [ZERO_BLOOM, None, "0x" + "ff" * 256, "0x" + "01" * 256])
def test_blooms_that_are_all_the_same_exclude_no_block(shown: str | None) -> None:
    headers = [replace(of, logs_bloom=shown) for of, _ in chain_node().chain.values()]
    assert Prover(UNLISTED).without_logs_of(headers, contract(WANTED).may_match) == frozenset()
    mixed = [*headers, *(of for of, _ in chain_node().chain.values())]
    assert Prover(UNLISTED).without_logs_of(mixed, contract(WANTED).may_match)


@pytest.mark.parametrize("verify", ["contiguous", "receipts", "none"])
def test_where_the_bloom_is_not_the_proof_all_logs_are_read(verify: str) -> None:
    assert read_whole(read(chain_node(), prover=Prover(UNLISTED, verify))) == list(range(1, BLOCKS + 1))


def test_logs_that_most_blocks_may_have_are_read_in_ranges_with_the_headers_known() -> None:
    node = chain_node()
    assert read_whole(read(node, contract(ADDRESS.lower()))) == list(range(1, BLOCKS + 1))
    assert node.asked("eth_getBlockByNumber") == BLOCKS
    assert all("address" not in each for each in asked_ranges(node))


def test_while_most_blocks_match_ranges_are_as_short_as_without_a_filter() -> None:
    node, prover = chain_node(), Prover(UNLISTED)
    node.longest_range = 10
    reader = FilteredReader(prover, contract(ADDRESS.lower(), WANTED))
    assert len(asyncio.run(reader.range(node, 1, BLOCKS))) == BLOCKS
    assert reader.max_blocks(node) == prover.max_blocks(node) < 20
    reader = FilteredReader(prover, contract(WANTED))
    asyncio.run(reader.range(node, 1, BLOCKS))
    assert reader.max_blocks(node) > prover.max_blocks(node)


def test_addresses_are_split_until_the_node_accepts_them_and_all_are_requested() -> None:
    node = chain_node()
    node.most_addresses = 2
    addresses = [f"0x{n:040x}" for n in range(1, 8)] + [WANTED]
    assert read_whole(read(node, contract(*addresses))) == [1, *PLACES]
    accepted = [each for each in asked_ranges(node) if len(each["address"]) <= 2]
    for number in PLACES:
        around = [each for each in accepted if int(each["fromBlock"], 16) <= number <= int(each["toBlock"], 16)]
        assert {address for each in around for address in each["address"]} == set(addresses)
    assert node.profile.filter_addresses == 2
    assert node.profile.filtered_ranges.blocks >= 64, "the range was not the reason"


def test_a_range_that_is_too_long_is_not_taken_for_a_filter_that_is() -> None:
    node = chain_node()
    node.longest_range = 10
    assert read_whole(read(node, contract(WANTED, "0x" + "07" * 20))) == [1, *PLACES]
    assert node.profile.filter_addresses == MAX_FILTER_VALUES
    assert node.profile.filtered_ranges.blocks < 16


def test_a_node_that_refuses_every_filter_is_asked_for_everything() -> None:
    node = chain_node()
    node.unfiltered_only = True
    assert read_whole(read(node, contract(WANTED, "0x" + "07" * 20))) == list(range(1, BLOCKS + 1))
    filtered = [each for each in asked_ranges(node) if "address" in each]
    node.requests.clear()
    read(node, contract(WANTED, "0x" + "07" * 20))
    assert len([each for each in asked_ranges(node) if "address" in each]) < len(filtered)


def test_a_block_that_the_node_lacks_is_named() -> None:
    node = chain_node()
    node.failing = {12}
    with pytest.raises(ChainUnavailable, match="block 12 not found"):
        read(node)


def test_a_filter_is_the_union_of_what_subscriptions_allow() -> None:
    one, two = {0: ["0xa1"], 1: ["0x01"]}, {0: ["0xa2", "0xa1"], 2: ["0x02"]}
    found = build_criteria([one, two])
    assert found is not None
    assert found.parameters(found.addresses) == {"address": ["0xa1", "0xa2"]}
    both = build_criteria([one | {3: ["0x03"]}, one | {1: ["0x01", "0x04"], 3: ["0x05"]}])
    assert both is not None
    expected = {"address": ["0xa1"], "topics": [["0x01", "0x04"], None, ["0x03", "0x05"]]}
    assert both.parameters(both.addresses) == expected
    topics_only = build_criteria([{1: ["0x01"]}, {0: ["0xa1"], 1: ["0x02"]}])
    assert topics_only is not None
    assert topics_only.parameters(topics_only.addresses) == {"topics": [["0x01", "0x02"]]}


def test_there_is_no_filter_for_any_log_or_for_very_many_values() -> None:
    many = [f"0x{n:040x}" for n in range(MAX_FILTER_VALUES + 1)]
    assert build_criteria([{0: many[1:]}]) is not None
    assert build_criteria([{0: many}]) is None
    assert build_criteria([{0: many[:600]}, {0: many[500:]}]) is None
    assert build_criteria([{0: [WANTED]}, {}]) is None
    assert build_criteria([{0: []}]) is None
    assert build_criteria([]) is None


ADDRESSES = [f"0x{n:040x}" for n in range(3)]
WORDS = [word(n) for n in range(3)]
EVENT = "Paid(uint256 indexed id, address indexed who, uint256 amount)"
SIGNATURE = restrictions(Subscription("sub_1", 1, event=EVENT))[1][0]
TOPICS = st.lists(st.none() | st.lists(st.sampled_from([SIGNATURE, *WORDS]), min_size=1).map(tuple), max_size=4)
SOME = st.lists(st.sampled_from(ADDRESSES), max_size=2).map(tuple)
CONDITIONS = [None, "id == 1", "id == 1 or id == 2", "who == " + ADDRESSES[1], "id == 2 and amount > 0"]
SUBSCRIPTIONS = st.one_of(
    st.builds(lambda addresses, topics: Subscription("sub_1", 1, addresses, topics=tuple(topics)), SOME, TOPICS),
    st.builds(
        lambda addresses, where: Subscription("sub_1", 1, addresses, event=EVENT, where=where),
        SOME,
        st.sampled_from(CONDITIONS),
    ),
)
LOGS = st.tuples(
    st.sampled_from(ADDRESSES), st.lists(st.sampled_from([SIGNATURE, *WORDS]), max_size=4), st.integers(0, 1)
)


@given(st.lists(SUBSCRIPTIONS, min_size=1, max_size=3), LOGS)
def test_every_log_that_a_subscription_matches_passes_filter_and_bloom(
    subscriptions: list[Subscription], drawn: tuple[str, list[str], int]
) -> None:
    address, topics, amount = drawn
    emitted = event(address, tuple(topics), word(amount))
    criteria = build_criteria([restrictions(each) for each in subscriptions])
    if criteria is None:
        assert not all(map(restrictions, subscriptions))
        return
    if matched(index_of(endpoint("ep_1", *subscriptions)), emitted):
        assert criteria.may_match(bloom.of_values([address, *topics]))
        asked = parse_log_filter(criteria.parameters(criteria.addresses))
        assert asked.matches({"address": address, "topics": topics})


@given(st.lists(SUBSCRIPTIONS, min_size=1, max_size=3))
def test_an_empty_bloom_excludes_every_filter(subscriptions: list[Subscription]) -> None:
    criteria = build_criteria([restrictions(each) for each in subscriptions])
    assert criteria is None or not criteria.may_match(0)
