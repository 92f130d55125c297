import json
from typing import Any

import pytest

from hookfarm.receiver import report
from hookfarm.receiver.report import UNREADABLE, ReceivedWebhook, ReceiverCounts, WebhookReport
from hookfarm.receiver.verification import UNVERIFIED, VERIFIED, Verification, VerificationStatus

TRANSFER = {
    "type": "log.emitted",
    "data": {
        "block_hash": "0xab",
        "log_index": 7,
        "event": {"name": "Transfer", "args": {"from": "0x" + "ab" * 20, "value": "12"}},
    },
}


def arrival(body: Any = TRANSFER, verdict: Verification = VERIFIED, **changes: Any) -> ReceivedWebhook:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {"at": 0.25, "webhook_id": "msg_" + "0" * 40, "attempt": "2", **changes}
    return ReceivedWebhook(verification=verdict, body=raw, **given)


def test_a_line_has_verification_id_attempt_type_event_and_arguments() -> None:
    _, judgement, rest = report.text_parts(arrival())
    assert judgement == "verified"
    assert rest == "msg_000000000000…  #2  log.emitted  Transfer  from=0xabab…abab value=12"


def test_a_refused_webhook_has_its_reason() -> None:
    _, judgement, rest = report.text_parts(
        arrival(verdict=Verification(VerificationStatus.NOT_VERIFIED, "no signature matches"))
    )
    assert judgement == "NOT verified"
    assert rest.endswith("(no signature matches)")


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b"", "not a JSON object, 0 bytes"),
        (b"\xff\xfe", "not a JSON object, 2 bytes"),
        (b"[1]", "not a JSON object, 3 bytes"),
        ({}, "no type"),
        ({"type": "ping", "data": 5}, "ping"),
        ({"type": {"a": 1}, "data": {"event": {"name": None, "args": 3}}}, '{"a":1}  null  '),
    ],
)
def test_any_body_makes_one_line(body: Any, shown: str) -> None:
    _, _, rest = report.text_parts(arrival(body, webhook_id="", attempt=""))
    assert rest == f"no webhook-id  #?  {shown}"


def test_what_a_stranger_sent_cannot_steer_the_terminal_nor_fill_it() -> None:
    args = {f"\x1b[2J{n}": "\r\n\x07" + "x" * 10_000 for n in range(100)}
    body = {"type": "a\nb", "data": {"event": {"name": "\x9b31m", "args": args}}}
    _, _, rest = report.text_parts(arrival(body, webhook_id="\x1b]0;owned\x07"))
    assert rest.isprintable()
    assert len(rest) < 600


def test_json_has_the_whole_body_and_whether_it_was_verified() -> None:
    fields = report.as_json(arrival())
    assert fields == {
        "time": "1970-01-01T00:00:00.250Z",
        "verified": True,
        "reason": None,
        "webhook_id": "msg_" + "0" * 40,
        "attempt": 2,
        "body": TRANSFER,
    }
    assert report.as_json(arrival(verdict=UNVERIFIED))["verified"] is None
    assert report.as_json(arrival(verdict=Verification(VerificationStatus.NOT_VERIFIED, "x")))["verified"] is False
    assert report.as_json(arrival(attempt="9" * 5000))["attempt"] is None
    assert report.as_json(arrival(b"not JSON"))["body"] == "not JSON"


def test_a_report_names_the_log_of_the_body() -> None:
    made = WebhookReport.of(arrival(), with_text=True)
    assert (made.log, made.webhook_id) == ("0xab:7", "msg_" + "0" * 40)
    assert made.text.endswith("Transfer  from=0xabab…abab value=12")
    assert WebhookReport.parse(made.line().decode().removesuffix("\n")) == made


def test_a_report_of_a_transfer_has_its_index_accounts_and_value() -> None:
    data = {"kind": "transfer", "block_hash": "0xab", "transaction_index": 7, "event": None}
    body = {"type": "transfer.emitted", "data": {**data, "from": "0x" + "ab" * 20, "to": "0xcd", "value": "12"}}
    made = WebhookReport.of(arrival(body), with_text=True)
    assert made.log == "0xab:t7"
    assert made.text.endswith("  from=0xabab…abab to=0xcd value=12")
    assert report.text_parts(arrival(body))[2].endswith("  transfer.emitted  from=0xabab…abab to=0xcd value=12")


def test_a_report_may_have_no_text() -> None:
    made = WebhookReport.of(arrival(), with_text=False)
    assert made.text == ""
    assert WebhookReport.parse(made.line().decode().removesuffix("\n")) == made


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b'{"data":null}', b'{"data":{"log_index":1}}', b'{"data":{"kind":"transfer"}}', b'{"data":[]}'],
)
def test_a_webhook_of_no_log_is_reported_as_such(body: bytes) -> None:
    assert WebhookReport.of(arrival(body), with_text=True).log == UNREADABLE


# Counts

REFUSED = Verification(VerificationStatus.NOT_VERIFIED, "no signature matches")


def arrived(webhook_id: str, verdict: Verification = VERIFIED) -> ReceivedWebhook:
    return ReceivedWebhook(0.0, webhook_id, "1", verdict, b"")


def test_every_arrival_is_counted_by_its_judgement() -> None:
    tally = ReceiverCounts()
    for webhook_id, verdict in (("a", VERIFIED), ("b", VERIFIED), ("c", REFUSED), ("d", UNVERIFIED)):
        tally.count(arrived(webhook_id, verdict))
    assert tally.received == 4
    assert tally.by_status == {
        VerificationStatus.VERIFIED: 2,
        VerificationStatus.NOT_VERIFIED: 1,
        VerificationStatus.UNVERIFIED: 1,
    }
    assert tally.repeated == 0


def test_an_id_that_comes_again_is_repeated() -> None:
    tally = ReceiverCounts()
    for webhook_id in ("a", "b", "a", "a"):
        tally.count(arrived(webhook_id))
    assert (tally.received, tally.repeated) == (4, 2)


def test_a_forged_webhook_does_not_use_up_an_id() -> None:
    tally = ReceiverCounts()
    tally.count(arrived("a", REFUSED))
    tally.count(arrived("a"))
    assert tally.repeated == 0


def test_memory_is_bounded_and_keeps_the_latest_ids() -> None:
    tally = ReceiverCounts()
    for number in range(report.REMEMBERED_IDS + 1):
        tally.count(arrived(str(number)))
    tally.count(arrived("0"))
    assert tally.repeated == 0
    tally.count(arrived(str(report.REMEMBERED_IDS)))
    assert tally.repeated == 1
