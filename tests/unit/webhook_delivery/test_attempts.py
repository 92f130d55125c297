"""The line that each attempt gets, word for word."""

import io
import json

import pytest

from hookfarm import logs
from hookfarm.delivery_queue import Attempt
from hookfarm.delivery_queue.job import ClaimedJob
from hookfarm.http_client.outcome import DELIVERED, Decision, Response, Result, TransportError
from hookfarm.webhook_delivery import attempts
from tests.support.root_logger import root_as_it_was as root_as_it_was

QUEUED_US = 1_700_000_000_000_000
ENDED = 1_700_000_000.5
CLAIMED = ClaimedJob(QUEUED_US, "msg_5b1f", "ep_3f0c", 2, {}, b'{"type":"log.emitted"}')
RETRY = Decision(delivered=False, retry_in_seconds=29.964)
DEAD = Decision(delivered=False, reason="exhausted")
CANARIES = ("whsec_canary", "https://a.example/in?token=canary", "Authorization: Bearer canary", "wss://n/canary")


def line(form: str, result: Result, decision: Decision) -> str:
    """What is written, without the time."""
    stream = io.StringIO()
    logs.configure("info", form, stream)
    attempt = Attempt(CLAIMED.attempt, result.status_or_error, 12, {"duration_ms": 12, **result.to_record()})
    attempts.log_attempt(7, CLAIMED, attempt, 12_345, ENDED, decision)
    written = stream.getvalue()
    assert written.count("\n") == 1
    return written.strip()


def test_a_delivered_attempt_in_text() -> None:
    _, _, rest = line("text", Response(204, None, b"ignored"), DELIVERED).partition(" ")
    assert rest == (
        "info webhook_delivery attempt outcome=delivered delivery=msg_5b1f endpoint=ep_3f0c attempt=2 status=204 "
        "error=None duration_ms=12.3 queued_ms=487.7 bytes_sent=22 retry_in_s=None detail=None worker=7"
    )


def test_an_attempt_without_an_answer_in_text() -> None:
    _, _, rest = line("text", TransportError("timeout", "no response before the deadline"), RETRY).partition(" ")
    assert rest == (
        "warning webhook_delivery attempt outcome=retry delivery=msg_5b1f endpoint=ep_3f0c attempt=2 status=None "
        "error=timeout duration_ms=12.3 queued_ms=487.7 bytes_sent=22 retry_in_s=30.0 "
        'detail="no response before the deadline" worker=7'
    )


@pytest.mark.parametrize(
    ("result", "decision", "expected"),
    [
        (
            Response(200),
            DELIVERED,
            {
                "level": "info",
                "outcome": "delivered",
                "status": 200,
                "error": None,
                "retry_in_s": None,
                "detail": None,
            },
        ),
        (
            Response(503, None, b"come back\nlater"),
            RETRY,
            {
                "level": "warning",
                "outcome": "retry",
                "status": 503,
                "error": None,
                "retry_in_s": 30.0,
                "detail": "come back\nlater",
            },
        ),
        (
            TransportError("tls", "self-signed certificate"),
            DEAD,
            {
                "level": "warning",
                "outcome": "dead",
                "status": None,
                "error": "tls",
                "retry_in_s": None,
                "detail": "self-signed certificate",
            },
        ),
    ],
)
def test_a_json_line_has_every_field_whatever_came_of_it(
    result: Result, decision: Decision, expected: dict[str, object]
) -> None:
    found = json.loads(line("json", result, decision))
    assert found.pop("time").endswith("Z")
    assert found == {
        "logger": "webhook_delivery",
        "action": "attempt",
        "delivery": "msg_5b1f",
        "endpoint": "ep_3f0c",
        "attempt": 2,
        "duration_ms": 12.3,
        "queued_ms": 487.7,
        "bytes_sent": 22,
        "worker": 7,
        **expected,
    }


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("secret", CANARIES)
def test_what_an_endpoint_says_brings_no_secret_into_the_log(form: str, secret: str) -> None:
    assert "canary" not in line(form, Response(500, None, f"you sent {secret}".encode()), RETRY)
    assert "canary" not in line(form, TransportError("connection", f"to {secret}"), RETRY)


def test_a_long_reply_does_not_make_a_long_line() -> None:
    found = json.loads(line("json", Response(500, None, b"x" * 1000), RETRY))
    assert found["detail"] == "x" * attempts.MAX_DETAIL_CHARACTERS


def test_a_clock_that_was_set_back_makes_no_negative_time() -> None:
    claimed = CLAIMED._replace(sequence=QUEUED_US + 10**9)
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    attempt = Attempt(1, 200, 1, {"status": 200, "detail": ""})
    attempts.log_attempt(0, claimed, attempt, 1, ENDED, DELIVERED)
    assert json.loads(stream.getvalue())["queued_ms"] == 0.0
