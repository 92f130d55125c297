"""What a worker reads from a body is what the processor derived from the event."""

import hashlib
from typing import Any

import pytest

from hookfarm.matching import payload
from hookfarm.records import ChainEvent
from hookfarm.tracing.spans import block_span, match_span, parent_of_attempt, trace_without_block
from tests.support.events import EVENT
from tests.support.transfers import TRANSFER

HUGE: Any = {**EVENT, "chain_id": 2**63, "log_index": 2**60, "transaction_index": 2**61, "block_number": 2**62}


@pytest.mark.parametrize("event", [EVENT, TRANSFER, HUGE], ids=["log", "transfer", "huge"])
def test_each_kind_of_body_leads_to_the_match_it_comes_from(event: ChainEvent) -> None:
    block, place = f"{event['chain_id']}:{event['block_hash']}", payload.log_position(event)
    emitted = match_span(block, place, is_removal=False)
    removed = match_span(block, place, is_removal=True)
    original = "msg_" + "a" * 40
    assert parent_of_attempt(payload.emitted_body(event, {"name": "T", "args": {}}, "sub_1", "safe")) == emitted
    assert parent_of_attempt(payload.removed_body(event, None, "sub_1", original)) == removed
    assert parent_of_attempt(payload.finalized_body(event, None, "sub_1", original)) == emitted
    assert parent_of_attempt(payload.finalized_body(event, None, "sub_1", None)) == emitted
    assert emitted != removed
    assert emitted.trace == removed.trace == block_span(block).trace


def test_other_places_blocks_and_chains_are_other_spans() -> None:
    block, other = "1:0x" + "b1" * 32, "2:0x" + "b1" * 32
    spans = {match_span(block, 1, False), match_span(block, "t1", False), match_span(other, 1, False)}
    assert len({*spans, block_span(block), block_span(other)}) == 5


def test_a_blocks_ids_are_the_hash_that_the_readme_gives() -> None:
    digest = hashlib.sha256(b"1:0xab").hexdigest()
    trace, span = block_span("1:0xab")
    assert f"{trace:032x}{span:016x}" == digest[:48]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"type":"test"}',
        b'{"type":"hookfarm.delivery.dead","timestamp":"2026-11-22T18:00:00Z","data":{}}',
        b'{"data":{"chain_id":1}}',
        payload.emitted_body(EVENT, None, "sub_1").replace(b'"log_index":7,', b""),
        payload.emitted_body(TRANSFER, None, "sub_1").replace(b'"kind":"transfer",', b""),
    ],
)
def test_a_body_that_tells_of_no_log_and_no_transfer_has_no_parent(body: bytes) -> None:
    assert parent_of_attempt(body) is None


def test_a_delivery_of_no_block_has_a_trace_of_its_own() -> None:
    assert trace_without_block("msg_1") == trace_without_block("msg_1") != trace_without_block("msg_2")
    assert 0 < trace_without_block("msg_1") < 2**128
