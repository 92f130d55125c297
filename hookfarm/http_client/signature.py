"""Signatures of webhooks by Standard Webhooks 1.0.

The signed text is `id.timestamp.body`, the key is the base64-decoded part of `whsec_…` behind the prefix, and a
header carries one `v1,<base64 of HMAC-SHA256>` per secret in force, separated by spaces.
"""

import base64
import binascii
import hmac
from collections.abc import Iterable

PREFIX = "whsec_"

SigningKey = hmac.HMAC
"""A secret, hashed once: signing copies this state, which costs a third of starting from the secret."""


def signing_key(secret: str) -> SigningKey:
    """The key of a secret. Raises ValueError unless it is a `whsec_…`."""
    if not secret.startswith(PREFIX):
        raise ValueError(f"a signing secret begins with {PREFIX}")
    return hmac.new(base64.b64decode(secret[len(PREFIX) :], validate=True), digestmod="sha256")


def signature_header(keys: Iterable[SigningKey], webhook_id: bytes, timestamp: bytes, body: bytes) -> bytes:
    """The value of `webhook-signature`, the newest secret's signature first."""
    signed = b"%b.%b.%b" % (webhook_id, timestamp, body)
    return b" ".join([_signature(key, signed) for key in keys])


def _signature(key: SigningKey, signed: bytes) -> bytes:
    state = key.copy()
    state.update(signed)
    return b"v1," + binascii.b2a_base64(state.digest(), newline=False)
