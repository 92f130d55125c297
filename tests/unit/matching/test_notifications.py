from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookfarm.abi.signature import parse
from hookfarm.event_stream import StreamEntry
from hookfarm.event_stream.event_json import MAX_EVENT_BYTES
from hookfarm.matching.index import Index
from hookfarm.matching.notifications import process_entry
from hookfarm.records import Endpoint, Subscription
from hookfarm.records.events import MAX_TIMESTAMP
from tests.support.events import EVENT
from tests.support.matching import process


def index_for(*endpoint_ids: str) -> Index:
    index = Index()
    for identity in endpoint_ids:
        index.put(Endpoint(identity, "https://example.com/", subscriptions=(Subscription("sub_1", 1),)))
    return index


def entry(raw: bytes | None, chain_id: int = 1) -> StreamEntry:
    return StreamEntry(chain_id, b"1-0", raw)


def reason(raw: bytes | None, chain_id: int = 1) -> str:
    result = process(index_for("ep_1"), entry(raw, chain_id))
    assert result.jobs == ()
    assert result.invalid is not None
    assert result.invalid.raw == (raw or b"")
    assert "\n" not in result.invalid.reason
    return result.invalid.reason


def event(**changes: Any) -> bytes:
    return orjson.dumps({**EVENT, **changes})


def nested(depth: int) -> bytes:
    return event(topics=["@"]).replace(b'"@"', b"[" * depth + b"]" * depth)


def test_an_event_becomes_one_job_for_each_endpoint_that_wants_it() -> None:
    result = process(index_for("ep_1", "ep_2"), entry(event()))
    assert result.invalid is None
    assert sorted(job.endpoint for job in result.jobs) == ["ep_1", "ep_2"]
    assert len({job.id for job in result.jobs}) == 2


def test_the_same_event_becomes_the_same_job_whenever_it_is_read() -> None:
    index = index_for("ep_1")
    assert process(index, entry(event())).jobs == process(index, entry(event())).jobs


def test_a_webhook_contains_the_arguments_that_its_condition_is_about() -> None:
    signature = "E(address who, uint256 value)"
    index = Index()
    for identity, where in (("ep_1", "value == 7"), ("ep_2", "value == 8")):
        subscription = Subscription("sub_1", 1, event=signature, where=where)
        index.put(Endpoint(identity, "https://example.com/", subscriptions=(subscription,)))
    topic0 = parse(signature).topic0
    result = process(index, entry(event(topics=[topic0], data=f"0x{0xAB:064x}{7:064x}")))
    [job] = result.jobs
    assert job.endpoint == "ep_1"
    decoded = orjson.loads(job.body)["data"]["event"]
    assert decoded == {"name": "E", "args": {"who": f"0x{0xAB:040x}", "value": 7}}


def test_an_unwanted_event_becomes_nothing() -> None:
    result = process(Index(), entry(event()))
    assert (result.jobs, result.invalid) == ((), None)


def test_an_unwanted_event_has_no_result_and_any_other_entry_has_one() -> None:
    index = index_for("ep_1")
    assert process_entry(Index(), entry(event())) is None
    assert process_entry(index, entry(event())) is not None
    assert process_entry(Index(), entry(event(removed=True))) is not None
    assert process_entry(Index(), entry(event(data="0x1"))) is not None


def test_hexadecimal_in_capitals_is_the_same_event() -> None:
    capitals = event(block_hash=EVENT["block_hash"].upper().replace("X", "x"))
    index = index_for("ep_1")
    assert process(index, entry(capitals)).jobs == process(index, entry(event())).jobs


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (None, "event: missing in the entry; must be an Event as JSON"),
        (b"", "event: is not JSON"),
        (b"{", "event: is not JSON"),
        (b"\xff\xfe", "event: is not JSON"),
        (b'{"chain_id":NaN}', "event: is not JSON"),
        (b"[" * 5000, "event: is not JSON"),
        (b"[]", "event: a list is not a JSON object"),
        (b"1", "event: a number is not a JSON object"),
        (b"{}", "topics: None"),
        (b" " * (MAX_EVENT_BYTES + 1), "1048577 bytes; at most 1048576"),
        (event(chain_id="1"), "chain_id: '1'"),
        (event(chain_id=True), "chain_id: True"),
        (event(chain_id=2), "chain_id: 2 is not the stream's chain 1"),
        (event(block_number=-1), "block_number: -1"),
        (event(block_number=1.0), "block_number: 1.0"),
        (event(block_number=1e30), "block_number: 1e+30"),
        (event(block_timestamp=MAX_TIMESTAMP + 1), "block_timestamp: 253402300800"),
        (event(block_hash="0x12"), "block_hash: '0x12'"),
        (event(address=None), "address: None"),
        (event(topics=["0x"] * 5), "topics: "),
        (event(topics=[1]), "topics[0]: 1"),
        (event(data="0x123"), "data: '0x123'"),
        (event(removed="yes"), "removed: 'yes'"),
        (nested(5), "topics[0]: [[[[[]]]]]"),
        (nested(1100), "event: is not JSON"),
    ],
)
def test_what_is_no_event_is_rejected_with_its_reason(raw: bytes | None, said: str) -> None:
    assert said in reason(raw)


@pytest.mark.parametrize("depth", [500, 900, 980, 1000, 1010, 1020, 1030, 100_000])
def test_no_depth_of_nesting_makes_it_raise(depth: int) -> None:
    assert reason(nested(depth))


@given(st.binary(max_size=200))
def test_no_bytes_make_it_raise(raw: bytes) -> None:
    assert process(index_for("ep_1"), entry(raw)).jobs == ()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(sorted(EVENT)), JSON))
def test_no_value_of_a_field_makes_it_raise(changes: dict[str, Any]) -> None:
    result = process(index_for("ep_1"), entry(event(**changes)))
    assert bool(result.jobs) != bool(result.invalid)
