"""Elements of the list and jobs of the ledger, without a server."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookfarm.delivery_queue import delivered, failed, returned
from hookfarm.delivery_queue.job import (
    ClaimedJob,
    ForeignElement,
    ListElement,
    attempt_json,
    decode_element,
    decode_job,
)
from tests.support.delivery import DONE

BODIES = st.one_of(
    st.just(b'{"n":115792089237316195423570985008687907853269984665640564039457584007913129639935}'),
    st.just(b'{"payload":{"payload":1},"x":",\\"payload\\":"}'),
    st.just(b'{"float":0.10000000000000000000001,"exp":1E5}'),
    st.dictionaries(st.text(), st.text() | st.integers(), max_size=3).map(lambda d: json.dumps(d).encode()),
)


def stored(body: bytes = b"{}", **header: object) -> bytes:
    fields = {"id": "msg_1", "endpoint": "ep_1", "attempt": 1, **header}
    return json.dumps(fields, separators=(",", ":")).encode()[:-1] + b',"payload":' + body + b"}"


@given(BODIES, st.text(max_size=30))
def test_the_body_is_what_was_enqueued_byte_for_byte(body: bytes, detail: str) -> None:
    claimed = decode_job(stored(body=body, outcomes=[{"detail": detail}]), 7)
    assert isinstance(claimed, ClaimedJob)
    assert claimed.body == body
    assert claimed.header == {"id": "msg_1", "endpoint": "ep_1", "attempt": 1, "outcomes": [{"detail": detail}]}


@given(BODIES, st.lists(st.text(max_size=20), min_size=1, max_size=8))
def test_a_job_keeps_its_body_and_its_last_outcomes_over_its_attempts(body: bytes, details: list[str]) -> None:
    claimed = decode_job(stored(body=body), 7)
    for number, detail in enumerate(details, start=2):
        assert isinstance(claimed, ClaimedJob)
        job = claimed.with_outcome({"detail": detail + ',"payload":'}, attempt=number)
        assert orjson.loads(job)["attempt"] == number
        claimed = decode_job(job, 7)
    assert isinstance(claimed, ClaimedJob)
    assert (claimed.sequence, claimed.attempt, claimed.body) == (7, len(details) + 1, body)
    assert [o["detail"] for o in claimed.header["outcomes"]] == [d + ',"payload":' for d in details]


def test_an_element_is_what_the_scripts_write() -> None:
    assert decode_element(b'{"seq":1795456800000000,"id":"msg_1"}') == ListElement(1_795_456_800_000_000, "msg_1")


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"{}", b"garbage", b"\xff\xfe", b'{"seq":', b'{"seq":1}', b'{"seq":1,"payload":{}}',
        b'{"seq":x,"id":"a"}', b'{"seq":-1,"id":"a"}', b'{"seq":1.5,"id":"a"}', b'{"seq":%d,"id":"a"}' % 2**53,
        b'{"seq":%d,"id":"a"}' % 10**30, b'{"seq":1,"id":1}', b'{"seq":1,"id":null}', b'{"seq":1,"id":""}',
        b'{"seq":1,"id":"a b"}', b'{"seq":1,"id":"a\\r\\nx: y"}', '{"seq":1,"id":"ü"}'.encode(),
        b'{"seq":1,"id":"%b"}' % (b"a" * 129), b'{"Seq":1,"id":"a"}', b'{"seq":1,"id":"a"', b' {"seq":1,"id":"a"}',
        b'{"seq":1,"id":"a"}\n', b'{"seq":1,"id":"a","endpoint":"ep_1","payload":{}}', b'{"seq":1' * 5000,
    ],
)  # fmt: skip
def test_what_no_script_of_ours_wrote_is_foreign(raw: bytes) -> None:
    assert decode_element(raw) == ForeignElement(raw)


@given(st.binary(max_size=100), st.booleans())
def test_any_element_is_ours_or_foreign(raw: bytes, looks_like_ours: bool) -> None:
    decode_element(b'{"seq":' + raw if looks_like_ours else raw)


@pytest.mark.parametrize(
    "raw",
    [
        None, b"", b"{}", b"[]", b"1", b"garbage", b"\xff\xfe", b'{"payload":{}}',
        stored(id=1), stored(id=None), stored(id=""), stored(id="a\r\nx: y"),
        stored(id="a b"), stored(id="ü"), stored(id="a" * 129),
        stored(endpoint=1), stored(endpoint=None), stored(attempt="1"), stored(attempt=None), stored(attempt=0),
        stored(attempt=-3), stored(attempt=True), stored(attempt=1.5), stored(outcomes=5), stored(outcomes="x"),
        stored()[:-1], stored()[:-2], stored(body=b"1"), stored(body=b""),
    ],
)  # fmt: skip
def test_what_is_not_a_job_of_ours_is_no_job(raw: bytes | None) -> None:
    assert decode_job(raw) is None


@given(st.binary(max_size=100))
def test_anything_in_the_ledger_is_a_job_or_none(raw: bytes) -> None:
    decode_job(b'{"id":' + raw + b',"payload":' + raw)


def test_a_settlement_does_not_show_its_payload() -> None:
    claimed = decode_job(stored(body=b'{"secret":"whsec_x"}'))
    assert isinstance(claimed, ClaimedJob)
    for settlement in (
        delivered(claimed, DONE),
        failed(claimed, claimed.with_outcome({}), 5.0),
        returned(claimed),
    ):
        assert "whsec" not in repr(settlement)


@pytest.mark.parametrize(
    ("outcome", "at", "status", "error"),
    [
        ({"at": 1.5, "duration_ms": 7, "status": 500, "detail": ""}, "1970-01-01T00:00:01.500Z", 500, None),
        ({"at": 1, "error": "timeout"}, "1970-01-01T00:00:01.000Z", None, "timeout"),
        ({"at": 1e30}, None, None, None), ({"at": "now"}, None, None, None), ({}, None, None, None),
        (7, None, None, None),
    ],
)  # fmt: skip
def test_an_attempt_has_every_field_whatever_is_stored(
    outcome: object, at: str | None, status: int | None, error: str | None
) -> None:
    shown = attempt_json(outcome)
    assert set(shown) == {"at", "duration_ms", "status", "error", "detail"}
    assert (shown["at"], shown["status"], shown["error"]) == (at, status, error)
