"""An event in the ingestor's own words is recognised by its text; every other one is taken apart: same result."""

from typing import cast

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookfarm.chain.block import Header, parse_logs
from hookfarm.errors import InvalidInput
from hookfarm.event_stream import StreamEntry
from hookfarm.event_stream.event_json import MAX_EVENT_BYTES, read_event, recognise_log
from hookfarm.matching.filters import dimensions
from hookfarm.records import ChainEvent, Event
from tests.support.events import EVENT

COUNTS = st.integers(0, 2**64 - 1) | st.sampled_from([0, 9, 10, 10**10, 10**11, 10**18, 10**19 - 1, 10**19])


def hexadecimal(size: int) -> st.SearchStrategy[str]:
    return st.binary(min_size=size, max_size=size).map(lambda value: f"0x{value.hex()}")


EVENTS = st.fixed_dictionaries(
    {
        "chain_id": st.just(1),
        "block_number": COUNTS,
        "block_hash": hexadecimal(32),
        "block_timestamp": COUNTS,
        "transaction_hash": hexadecimal(32),
        "transaction_index": COUNTS,
        "log_index": COUNTS,
        "address": hexadecimal(20),
        "topics": st.lists(hexadecimal(32), max_size=5),
        "data": st.binary(max_size=70).map(lambda value: f"0x{value.hex()}"),
        "removed": st.booleans(),
    }
)
PIECES = st.sampled_from([b"", b"0", b"a", b"g", b"A", b'"', b",", b" ", b"\n", b"\xe9", b"00", b"-", b'"0x'])
EDITS = st.lists(st.tuples(st.integers(0, 700), st.integers(0, 2), PIECES), max_size=3)


def entry(raw: bytes, chain_id: int = 1) -> StreamEntry:
    return StreamEntry(chain_id, b"1-0", raw)


def edited(raw: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    """Each edit puts some bytes in the place of so many."""
    for place, length, piece in edits:
        raw = raw[:place] + piece + raw[place + length :]
    return raw


def taken_apart(raw: bytes) -> ChainEvent | None:
    """The event of the same JSON in words that are not the ingestor's; None where it is rejected."""
    other = entry(b" " + raw)
    assert recognise_log(1, b" " + raw) is None
    return event_of(other)


def event_of(read: StreamEntry) -> ChainEvent | None:
    try:
        return read_event(read)
    except InvalidInput:
        return None


@given(EVENTS, EDITS)
def test_what_is_recognised_by_its_text_is_what_it_is_taken_apart(
    event: dict[str, object], edits: list[tuple[int, int, bytes]]
) -> None:
    raw = edited(orjson.dumps(event), edits)
    apart = taken_apart(raw)
    assert event_of(entry(raw)) == apart
    log = recognise_log(1, raw)
    if log is not None:
        assert orjson.loads(raw) == apart
        assert log == dimensions(cast("Event", apart))


@pytest.mark.parametrize("topics", range(5))
@pytest.mark.parametrize("data", ["0x", "0x00", f"0x{'ab' * 1000}"])
def test_what_the_ingestor_writes_is_recognised(topics: int, data: str) -> None:
    event: Event = {**EVENT, "topics": [f"0x{n:064x}" for n in range(topics)], "data": data}
    assert recognise_log(1, orjson.dumps(event)) == dimensions(event)


def test_what_the_ingestor_makes_of_a_log_is_recognised() -> None:
    header = Header(7, EVENT["block_hash"], EVENT["block_hash"], 1, None)
    log = {
        "address": EVENT["address"].upper().replace("X", "x"),
        "topics": EVENT["topics"],
        "data": EVENT["data"],
        "blockHash": EVENT["block_hash"],
        "transactionHash": EVENT["transaction_hash"],
        "transactionIndex": "0x4",
        "logIndex": "0x7",
    }
    [event] = parse_logs(1, header, [log])
    assert recognise_log(1, orjson.dumps(event)) == dimensions(EVENT)


@pytest.mark.parametrize(
    "raw",
    [
        orjson.dumps({**EVENT, "removed": True}),
        orjson.dumps({**EVENT, "more": "transfer"}),
        orjson.dumps({"data": EVENT["data"], **EVENT}),
        orjson.dumps(EVENT, option=orjson.OPT_INDENT_2),
        orjson.dumps({**EVENT, "address": EVENT["address"].upper().replace("X", "x")}),
    ],
)
def test_what_the_ingestor_does_not_write_so_is_taken_apart(raw: bytes) -> None:
    assert recognise_log(1, raw) is None
    assert read_event(entry(raw))["block_hash"] == EVENT["block_hash"]


@pytest.mark.parametrize(
    "raw",
    [
        orjson.dumps({**EVENT, "data": "0x123"}),
        orjson.dumps({**EVENT, "address": "0x" + "d3" * 19 + "dg"}),
        orjson.dumps({**EVENT, "topics": [f"0x{n:064x}" for n in range(5)]}),
        orjson.dumps({**EVENT, "data": "0x" + "ab" * (MAX_EVENT_BYTES // 2)}),
        orjson.dumps({**EVENT, "block_timestamp": 253_402_300_800}),
        orjson.dumps({**EVENT, "chain_id": 2}),
        orjson.dumps(EVENT).replace(b'"log_index":7', b'"log_index":07'),
    ],
)
def test_no_text_of_what_is_no_event_is_recognised(raw: bytes) -> None:
    assert recognise_log(1, raw) is None
    assert event_of(entry(raw)) is None
