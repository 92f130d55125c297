"""Verification of webhooks by Standard Webhooks 1.0.

The signed text is `id.timestamp.body` with the header values as received. The key is the base64-decoded part of
`whsec_…` after the prefix. `webhook-signature` contains one or more `v1,<base64 of HMAC-SHA256>`, separated by
spaces. One match is enough; versions other than v1 are ignored. Timestamps more than TOLERANCE_SECONDS from now
are refused, which prevents replays.
"""

import base64
import binascii
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from hookfarm.errors import InvalidInput

TOLERANCE_SECONDS = 300
SECRET_PREFIX = "whsec_"
_MAX_TIMESTAMP_DIGITS = 24
"""Longer timestamps are refused without parsing."""


class VerificationStatus(Enum):
    """Result of a verification: whether the sender has the secret."""

    VERIFIED = "verified"
    NOT_VERIFIED = "NOT verified"
    UNVERIFIED = "unverified"
    """No secret is configured."""


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of verifying a webhook; `reason` is empty unless it is NOT_VERIFIED."""

    status: VerificationStatus
    reason: str = ""


VERIFIED = Verification(VerificationStatus.VERIFIED)
UNVERIFIED = Verification(VerificationStatus.UNVERIFIED)


class Verifier:
    """Verifier of webhooks with the current secrets; without secrets, every webhook is UNVERIFIED."""

    def __init__(self, secrets: Iterable[str]) -> None:
        """Take the secrets. Raises InvalidInput, without the value, for one that is not `whsec_` and base64."""
        self._keys = tuple(_key(secret) for secret in secrets)

    def verify(
        self, webhook_id: bytes, timestamp: bytes, signatures: bytes, body: bytes, now: float
    ) -> Verification:
        """Verify a webhook; `signatures` is the header's value, empty if missing. `now` is Unix time."""
        if not self._keys:
            return UNVERIFIED
        wrong = _missing(webhook_id, timestamp, signatures) or _wrong_time(timestamp, now)
        if wrong:
            return Verification(VerificationStatus.NOT_VERIFIED, wrong)
        signed = b"%b.%b.%b" % (webhook_id, timestamp, body)
        offered = tuple(_digests(signatures))
        for key in self._keys:
            expected = hmac.digest(key, signed, "sha256")
            if any(hmac.compare_digest(expected, digest) for digest in offered):
                return VERIFIED
        return Verification(
            VerificationStatus.NOT_VERIFIED, "no signature matches" if offered else "no v1 signature"
        )


def _key(secret: str) -> bytes:
    encoded = secret.strip().removeprefix(SECRET_PREFIX)
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInput("secret", "not base64; allowed is whsec_ and base64") from error
    if not key or not secret.strip().startswith(SECRET_PREFIX):
        raise InvalidInput("secret", "not a signing secret; allowed is whsec_ and base64")
    return key


def _missing(webhook_id: bytes, timestamp: bytes, signatures: bytes) -> str:
    given = {"webhook-id": webhook_id, "webhook-timestamp": timestamp, "webhook-signature": signatures}
    absent = [name for name, value in given.items() if not value]
    return f"no {absent[0]}" if absent else ""


def _wrong_time(timestamp: bytes, now: float) -> str:
    if not timestamp.isdigit() or len(timestamp) > _MAX_TIMESTAMP_DIGITS:
        return "webhook-timestamp is not a time"
    late = now - int(timestamp)
    if abs(late) <= TOLERANCE_SECONDS:
        return ""
    return f"signed {late:.0f} s ago" if late > 0 else f"signed {-late:.0f} s in the future"


def _digests(signatures: bytes) -> Iterable[bytes]:
    for part in signatures.split(b" "):
        version, _, encoded = part.partition(b",")
        if version == b"v1":
            try:
                yield base64.b64decode(encoded, validate=True)
            except binascii.Error:
                continue
