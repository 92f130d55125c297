"""Elements of the list and what they become, without a server."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookfarm.delivery_queue import delivered, failed, returned
from hookfarm.delivery_queue.job import ClaimedJob, ForeignElement, attempt_json, decode
from tests.support.delivery import DONE

BODIES = st.one_of(
    st.just(b'{"n":115792089237316195423570985008687907853269984665640564039457584007913129639935}'),
    st.just(b'{"payload":{"payload":1},"x":",\\"payload\\":"}'),
    st.just(b'{"float":0.10000000000000000000001,"exp":1E5}'),
    st.dictionaries(st.text(), st.text() | st.integers(), max_size=3).map(lambda d: json.dumps(d).encode()),
)


def element(sequence: int = 1_795_456_800_000_000, body: bytes = b"{}", **header: object) -> bytes:
    fields = {"seq": sequence, "id": "msg_1", "endpoint": "ep_1", "attempt": 1, **header}
    return json.dumps(fields, separators=(",", ":")).encode()[:-1] + b',"payload":' + body + b"}"


@given(BODIES, st.text(max_size=30))
def test_the_body_is_what_was_enqueued_byte_for_byte(body: bytes, detail: str) -> None:
    claimed = decode(element(body=body, outcomes=[{"detail": detail}]))
    assert isinstance(claimed, ClaimedJob)
    assert claimed.body == body
    assert claimed.header == {"id": "msg_1", "endpoint": "ep_1", "attempt": 1, "outcomes": [{"detail": detail}]}


@given(BODIES, st.lists(st.text(max_size=20), min_size=1, max_size=8))
def test_a_job_keeps_its_body_and_its_last_outcomes_over_its_attempts(body: bytes, details: list[str]) -> None:
    claimed = decode(element(body=body))
    for number, detail in enumerate(details, start=2):
        assert isinstance(claimed, ClaimedJob)
        job = claimed.with_outcome({"detail": detail + ',"payload":'}, attempt=number)
        assert orjson.loads(job)["attempt"] == number
        claimed = decode(b'{"seq":7,' + job[1:])
    assert isinstance(claimed, ClaimedJob)
    assert (claimed.sequence, claimed.attempt, claimed.body) == (7, len(details) + 1, body)
    assert [o["detail"] for o in claimed.header["outcomes"]] == [d + ',"payload":' for d in details]


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"{}", b"garbage", b"\xff\xfe", b'{"seq":', b'{"seq":1}', b'{"seq":1,"payload":{}}',
        b'{"seq":x,"payload":{}}',
        element(sequence=-1), element(sequence=2**63), element(sequence=2**53),
        element(sequence=10**30), element(id=1), element(id=None), element(id=""), element(id="a\r\nx: y"),
        element(id="a b"), element(id="ü"), element(id="a" * 129),
        element(endpoint=1), element(endpoint=None), element(attempt="1"), element(attempt=None),
        element(attempt=0),
        element(attempt=-3), element(attempt=True), element(attempt=1.5), element(outcomes=5),
        element(outcomes="x"),
        element().replace(b'"seq":1', b'"seq":1.5', 1), element().replace(b"seq", b"Seq", 1),
        element()[:-1], element()[:-2], element(body=b"1"), element(body=b""), b'{"seq":1' * 5000,
    ],
)  # fmt: skip
def test_what_no_script_of_ours_wrote_is_foreign(raw: bytes) -> None:
    assert decode(raw) == ForeignElement(raw)


@given(st.binary(max_size=100), st.booleans())
def test_any_element_is_a_job_or_foreign(raw: bytes, looks_like_ours: bool) -> None:
    decode(b'{"seq":' + raw if looks_like_ours else raw)


def test_a_settlement_does_not_show_its_payload() -> None:
    claimed = decode(element(body=b'{"secret":"whsec_x"}'))
    assert isinstance(claimed, ClaimedJob)
    for settlement in (
        delivered(claimed, DONE, 10),
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
