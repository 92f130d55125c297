"""Signatures, judged by the reference library."""

import base64
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

from hookfarm.http_client.request import signature_header, signing_key
from hookfarm.registry.store import new_secret
from tests.support.receivers import verified

NOW = 1_795_456_800


@given(st.binary(min_size=24, max_size=64), st.text("abcMSG_0.-:", min_size=1), st.text())
def test_it_is_the_signature_of_the_reference_library(key: bytes, webhook_id: str, text: str) -> None:
    secret = "whsec_" + base64.b64encode(key).decode()
    body = text.encode()
    ours = signature_header((signing_key(secret),), webhook_id.encode(), b"%d" % NOW, body)
    assert ours.decode() == Webhook(secret).sign(webhook_id, datetime.fromtimestamp(NOW, UTC), text)


def test_each_secret_in_force_signs_the_newest_first() -> None:
    new, old = new_secret(), new_secret()
    both = signature_header((signing_key(new), signing_key(old)), b"msg_1", b"1", b"{}").decode()
    alone = [signature_header((signing_key(s),), b"msg_1", b"1", b"{}").decode() for s in (new, old)]
    assert both == " ".join(alone)


@pytest.mark.parametrize("changed", ["webhook-id", "webhook-timestamp", "webhook-signature", "body"])
def test_whatever_is_changed_on_the_way_makes_it_invalid(changed: str) -> None:
    secret, now = new_secret(), int(datetime.now(UTC).timestamp())
    signature = signature_header((signing_key(secret),), b"msg_1", b"%d" % now, b"{}").decode()
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(now), "webhook-signature": signature}
    assert verified(secret, b"{}", headers)
    replaced = {"webhook-id": "msg_2", "webhook-timestamp": str(now - 1), "webhook-signature": "v1,AAAA"}
    if changed == "body":
        assert not verified(secret, b"{ }", headers)
    else:
        assert not verified(secret, b"{}", {**headers, changed: replaced[changed]})


@pytest.mark.parametrize("secret", ["", "abc", "whsec", "WHSEC_AAAA", "whsec_***", "whsec_A"])
def test_what_is_no_secret_is_refused(secret: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  (base64's own words)
        signing_key(secret)
