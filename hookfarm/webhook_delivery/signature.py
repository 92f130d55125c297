"""Signing, as Standard Webhooks 1.0 has it.

The signed text is `id.timestamp.body`, the key is the base64-decoded part of `whsec_…` behind the prefix, and a
header carries one `v1,<base64 of HMAC-SHA256>` per secret in force, separated by spaces.
"""

import base64
import binascii
import hmac

PREFIX = "whsec_"


def signing_key(secret: str) -> bytes:
    """The key of a secret; ValueError where it is no `whsec_…`."""
    if not secret.startswith(PREFIX):
        raise ValueError(f"a signing secret begins with {PREFIX}")
    return base64.b64decode(secret[len(PREFIX) :], validate=True)


def signature_header(keys: tuple[bytes, ...], webhook_id: bytes, timestamp: bytes, body: bytes) -> bytes:
    """The value of `webhook-signature`, the newest secret's signature first."""
    signed = b"%b.%b.%b" % (webhook_id, timestamp, body)
    return b" ".join(
        b"v1," + binascii.b2a_base64(hmac.digest(key, signed, "sha256"), newline=False) for key in keys
    )
