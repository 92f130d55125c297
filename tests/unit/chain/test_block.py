from typing import Any

import pytest

from hookfarm.chain.block import linked, logs_by_block, parse_header, parse_logs, quantity
from hookfarm.chain.transfers import receipt_logs
from hookfarm.errors import ChainUnavailable
from hookfarm.records import parse_event
from tests.support.chain_samples import SOME_BLOOM, ZERO_BLOOM, block, header, log, word

RAW_HEADER = {
    "number": "0x10",
    "hash": "0x" + "AA" * 32,
    "parentHash": "0x" + "BB" * 32,
    "timestamp": "0x65",
    "logsBloom": SOME_BLOOM,
}


def test_a_log_becomes_the_event_of_the_contract() -> None:
    [event] = parse_logs(137, header(5), [log(header(5), index=3)])
    assert event == {
        "chain_id": 137,
        "block_number": 5,
        "block_hash": word(5),
        "block_timestamp": 1_700_000_005,
        "transaction_hash": word(5002),
        "transaction_index": 2,
        "log_index": 3,
        "address": "0x" + "ab" * 20,
        "topics": [word(1), "0x" + "cd" * 32],
        "data": "0xbeef",
        "removed": False,
    }


def test_an_event_passes_the_check_of_those_who_read_the_stream() -> None:
    [event] = parse_logs(1, header(), [log(header())])
    assert parse_event(event) == event


def test_a_log_of_another_block_is_refused() -> None:
    with pytest.raises(ChainUnavailable, match="another block than 5"):
        parse_logs(1, header(5), [log(header(6))])


def test_a_log_that_a_node_took_back_is_refused() -> None:
    with pytest.raises(ChainUnavailable, match="another block than 5"):
        parse_logs(1, header(5), [{**log(header(5)), "removed": True}])


def test_the_logs_of_a_range_are_sorted_into_blocks() -> None:
    found = logs_by_block([log(header(n), i) for n, i in ((5, 0), (5, 1), (7, 0))])
    assert {number: len(logs) for number, logs in found.items()} == {5: 2, 7: 1}


@pytest.mark.parametrize("raw", [[None], [{}], [{"blockNumber": 5}]])
def test_malformed_logs_of_a_range_are_unavailable(raw: Any) -> None:
    with pytest.raises(ChainUnavailable):
        logs_by_block(raw)


@pytest.mark.parametrize("raw", [[None], [{}], 5, [{"transactionIndex": "0x0"}]])
def test_malformed_receipts_are_unavailable(raw: Any) -> None:
    with pytest.raises(ChainUnavailable):
        receipt_logs(header(5), raw)


@pytest.mark.parametrize(
    "raw",
    [
        None,
        "0x",
        [None],
        [{}],
        [{**log(header()), "topics": None}],
        [{**log(header()), "data": 7}],
        [{**log(header()), "logIndex": "9"}],
        [{**log(header()), "logIndex": 9}],
    ],
)
def test_a_malformed_answer_about_logs_is_unavailable(raw: Any) -> None:
    with pytest.raises(ChainUnavailable):
        parse_logs(1, header(), raw)


def test_a_header_is_read_in_lower_case() -> None:
    found = parse_header(RAW_HEADER)
    assert (found.number, found.block_hash, found.timestamp) == (16, "0x" + "aa" * 32, 101)
    assert found.parent_hash == "0x" + "bb" * 32


@pytest.mark.parametrize("missing", ["number", "hash", "parentHash", "timestamp"])
def test_a_header_without_what_belongs_there_is_unavailable(missing: str) -> None:
    with pytest.raises(ChainUnavailable):
        parse_header({name: value for name, value in RAW_HEADER.items() if name != missing})


@pytest.mark.parametrize("raw", [None, [], "0x1", {**RAW_HEADER, "hash": None}, {**RAW_HEADER, "number": "16"}])
def test_what_is_no_header_is_unavailable(raw: Any) -> None:
    with pytest.raises(ChainUnavailable):
        parse_header(raw)


@pytest.mark.parametrize(
    ("bloom", "is_zero"), [(ZERO_BLOOM, True), (SOME_BLOOM, False), ("0x", True), (None, False)]
)
def test_only_a_bloom_of_nothing_but_zeros_is_zero(bloom: str | None, is_zero: bool) -> None:
    assert header(bloom=bloom).bloom_is_zero == is_zero


@pytest.mark.parametrize("raw", [None, 5, "5", "0x", "0xgg", True])
def test_what_is_no_quantity_is_unavailable(raw: object) -> None:
    with pytest.raises(ChainUnavailable):
        quantity(raw)


def test_blocks_link_up_to_the_first_one_with_another_parent() -> None:
    branch = [block(5), block(6), block(7, fork=1, parent_fork=1), block(8, fork=1, parent_fork=1)]
    assert linked(word(4), branch) == branch[:2]


def test_nothing_links_where_the_first_block_has_another_parent() -> None:
    assert linked(word(3), [block(5), block(6)]) == []


def test_a_whole_branch_links() -> None:
    branch = [block(5), block(6)]
    assert linked(word(4), branch) == branch
