from dataclasses import replace
from typing import Any

import pytest

from hookfarm.chain.block import Header, parse_logs
from hookfarm.chain.completeness import distinct, in_order, incompleteness_reason, looks_capped
from hookfarm.records import Event
from tests.support.chain_samples import ZERO_BLOOM, bloom_of, full_block, header, log


def events_of(of: Header, logs: list[dict[str, Any]]) -> list[Event]:
    return in_order(parse_logs(1, of, logs))[0]


def doubt_about(of: Header, logs: list[dict[str, Any]], *, use_bloom: bool = True) -> str:
    return incompleteness_reason(of, events_of(of, logs), use_bloom=use_bloom)


def test_all_logs_of_a_block_leave_no_doubt_in_whatever_order_they_came() -> None:
    of, logs = full_block(7, 12)
    assert doubt_about(of, logs[::-1]) == ""


@pytest.mark.parametrize("missing", range(5))
def test_any_one_log_left_out_shows(missing: int) -> None:
    of, logs = full_block(7, 5)
    assert doubt_about(of, logs[:missing] + logs[missing + 1 :]) != ""


def test_all_logs_left_out_show() -> None:
    of, _ = full_block(7, 5)
    assert "some are missing" in doubt_about(of, [])


def test_a_log_twice_shows() -> None:
    of, logs = full_block(7, 3)
    assert "log indices are not 0 to 3" in doubt_about(of, [*logs, logs[2]])


def test_a_log_too_many_shows() -> None:
    of, logs = full_block(7, 3)
    more = log(of, 3, transaction=9, topic=99)
    assert "set bits that the header's bloom lacks" in doubt_about(of, [*logs, more])


def test_without_a_bloom_that_counts_contiguous_indices_are_enough() -> None:
    of, logs = full_block(7, 5)
    for bloom in (ZERO_BLOOM, None):
        silent = replace(of, logs_bloom=bloom)
        assert doubt_about(silent, logs, use_bloom=False) == ""
        assert doubt_about(silent, logs[1:], use_bloom=False) != ""


def test_a_header_without_a_bloom_is_judged_by_indices_even_where_blooms_count() -> None:
    of, logs = full_block(7, 5)
    assert doubt_about(replace(of, logs_bloom=None), logs) == ""


def test_a_round_number_of_logs_looks_cut_off_where_no_bloom_vouches_for_it() -> None:
    of, logs = full_block(7, 1000)
    assert doubt_about(of, logs) == ""
    assert "exactly 1000 logs" in doubt_about(of, logs, use_bloom=False)
    assert incompleteness_reason(of, events_of(of, logs), use_bloom=False, may_be_capped=False) == ""


def test_indices_that_start_again_in_each_transaction_become_places_in_the_block() -> None:
    of = header(7)
    logs = [log(of, index, transaction=tx) for tx, index in ((0, 0), (0, 1), (3, 0), (4, 0), (4, 1))]
    events = events_of(of, logs[::-1])
    assert [(event["transaction_index"], event["log_index"]) for event in events] == [
        (0, 0), (0, 1), (3, 2), (4, 3), (4, 4),
    ]  # fmt: skip
    assert doubt_about(replace(of, logs_bloom=bloom_of(logs)), logs) == ""


def test_indices_with_a_gap_are_not_taken_for_those_of_transactions() -> None:
    of = header(7)
    logs = [log(of, index, transaction=tx) for tx, index in ((0, 0), (1, 2))]
    assert [event["log_index"] for event in events_of(of, logs)] == [0, 2]
    assert doubt_about(of, logs, use_bloom=False) != ""


def test_counts_at_which_providers_cut_off_look_so() -> None:
    caps = (1000, 2000, 2500, 5000, 10_000, 20_000, 100_000)
    assert all(map(looks_capped, caps))
    assert not any(map(looks_capped, (0, 1, 10, 100, 500, 999, 1001, 10_001)))


def test_logs_accepted_without_a_proof_have_an_identity_each() -> None:
    of = header(7)
    places = [event["log_index"] for event in distinct(events_of(of, [log(of, 2), log(of, 5), log(of, 2)]))]
    assert places == [2, 5], "the repetition is removed, the gap stays"
    repeated = distinct(events_of(of, [log(of, 0), log(of, 0, topic=2), log(of, 1)]))
    assert [event["log_index"] for event in repeated] == [0, 1, 2], "different logs with one index are counted"
