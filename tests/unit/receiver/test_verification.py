"""Our own verification against the reference package: they agree on every webhook."""

import base64
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from hookfarm.errors import InvalidInput
from hookfarm.receiver.verification import VerificationStatus, Verifier

SECRET = "whsec_" + base64.b64encode(b"a secret of thirty-two bytes ...").decode()
OTHER = "whsec_" + base64.b64encode(b"another one of thirty-two bytes.").decode()
BODY = '{"type":"log.emitted","data":{"value":"1"}}'


def signed(secret: str, at: float, body: str = BODY, webhook_id: str = "msg_1") -> str:
    return Webhook(secret).sign(webhook_id, datetime.fromtimestamp(int(at), UTC), body)


def judge(
    signatures: str, at: float, now: float, *secrets: str, body: str = BODY, webhook_id: str = "msg_1"
) -> tuple[VerificationStatus, str]:
    verdict = Verifier(secrets or (SECRET,)).verify(
        webhook_id.encode(), str(int(at)).encode(), signatures.encode(), body.encode(), now
    )
    return verdict.status, verdict.reason


def reference_accepts(secret: str, webhook_id: str, timestamp: str, signatures: str, body: str) -> bool:
    headers = {"webhook-id": webhook_id, "webhook-timestamp": timestamp, "webhook-signature": signatures}
    try:
        Webhook(secret).verify(body, headers, json_parse=False)
    except WebhookVerificationError:
        return False
    return True


def test_what_the_reference_signs_is_verified() -> None:
    now = time.time()
    assert judge(signed(SECRET, now), now, now) == (VerificationStatus.VERIFIED, "")


@given(
    body=st.text(),
    webhook_id=st.text("abcmsg_019.", min_size=1),
    offset=st.integers(-290, 290),
    good=st.booleans(),
)
def test_it_judges_as_the_reference_does(body: str, webhook_id: str, offset: int, good: bool) -> None:
    body = body.encode("utf-8", "ignore").decode()
    at = int(time.time()) + offset
    signatures = signed(SECRET if good else OTHER, at, body, webhook_id)
    judgement, _ = judge(signatures, at, time.time(), body=body, webhook_id=webhook_id)
    accepted = reference_accepts(SECRET, webhook_id, str(at), signatures, body)
    assert (judgement is VerificationStatus.VERIFIED) == accepted == good


@pytest.mark.parametrize(("late", "reason"), [(305, "signed 305 s ago"), (-305, "signed 305 s in the future")])
def test_a_webhook_signed_too_long_ago_or_in_the_future_is_not_verified(late: int, reason: str) -> None:
    now = int(time.time())
    at = now - late
    assert judge(signed(SECRET, at), at, now) == (VerificationStatus.NOT_VERIFIED, reason)
    assert not reference_accepts(SECRET, "msg_1", str(at), signed(SECRET, at), BODY)


def test_a_changed_body_id_or_timestamp_is_not_verified() -> None:
    now = time.time()
    signature = signed(SECRET, now)
    assert judge(signature, now, now, body=BODY + " ") == (VerificationStatus.NOT_VERIFIED, "no signature matches")
    assert judge(signature, now, now, webhook_id="msg_2") == (
        VerificationStatus.NOT_VERIFIED,
        "no signature matches",
    )
    assert judge(signature, now - 1, now) == (VerificationStatus.NOT_VERIFIED, "no signature matches")


def test_one_of_several_signatures_is_enough_as_while_a_secret_is_rotated() -> None:
    now = time.time()
    both = f"{signed(OTHER, now)} {signed(SECRET, now)}"
    assert judge(both, now, now)[0] is VerificationStatus.VERIFIED
    assert reference_accepts(SECRET, "msg_1", str(int(now)), both, BODY)


def test_any_of_several_secrets_verifies() -> None:
    now = time.time()
    assert judge(signed(SECRET, now), now, now, OTHER, SECRET)[0] is VerificationStatus.VERIFIED


@pytest.mark.parametrize("signatures", ["v1a,c2ln", "v1", "v1,not base64", "v2,c2ln", ",", "v1,"])
def test_signatures_of_other_versions_and_broken_ones_verify_nothing(signatures: str) -> None:
    now = time.time()
    assert judge(signatures, now, now)[0] is VerificationStatus.NOT_VERIFIED
    assert judge(f"{signatures} {signed(SECRET, now)}", now, now)[0] is VerificationStatus.VERIFIED


@pytest.mark.parametrize("timestamp", ["soon", "-5", "1.5", "", "9" * 500])
def test_a_timestamp_that_is_no_time_is_not_verified(timestamp: str) -> None:
    verdict = Verifier([SECRET]).verify(b"msg_1", timestamp.encode(), b"v1,c2ln", b"", 0.0)
    assert verdict.status is VerificationStatus.NOT_VERIFIED
    assert "webhook-timestamp" in verdict.reason


def test_a_missing_header_is_named() -> None:
    verdict = Verifier([SECRET]).verify(b"msg_1", b"1", b"", b"", 1.0)
    assert (verdict.status, verdict.reason) == (VerificationStatus.NOT_VERIFIED, "no webhook-signature")


def test_without_a_secret_nothing_is_verified_nor_refused() -> None:
    assert Verifier([]).verify(b"", b"", b"", b"", 0.0).status is VerificationStatus.UNVERIFIED


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_???", "c2VjcmV0", "whsec_\N{SNOWMAN}"])
def test_a_wrong_secret_is_refused_without_being_shown(secret: str) -> None:
    with pytest.raises(InvalidInput, match=r"^secret: .*allowed is whsec_ and base64$") as refused:
        Verifier([secret])
    assert len(secret) < 7 or secret not in str(refused.value)


def test_padding_may_be_left_out_of_a_secret() -> None:
    now = time.time()
    assert judge(signed(SECRET, now), now, now, SECRET.rstrip("="))[0] is VerificationStatus.VERIFIED
