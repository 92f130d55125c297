"""Verifying a webhook as Standard Webhooks 1.0 has it.

The signed text is `id.timestamp.body` with the header values as they came; the key is the base64-decoded part of
`whsec_…` behind the prefix. `webhook-signature` holds one or more `v1,<base64 of HMAC-SHA256>`, separated by
spaces: one that fits is enough, versions other than v1 are passed over. A timestamp further than five minutes
from now is refused, so that a recorded webhook can't be replayed.
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
_TEXT_LIMIT = 24
"""Digits of a timestamp that are looked at: more are no time of this universe."""


class Judgement(Enum):
    """What is known of a webhook's origin."""

    VERIFIED = "verified"
    NOT_VERIFIED = "NOT verified"
    UNVERIFIED = "unverified"
    """No secret to verify with."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reason` says what is wrong, empty where nothing is."""

    judgement: Judgement
    reason: str = ""


VERIFIED = Verdict(Judgement.VERIFIED)
UNVERIFIED = Verdict(Judgement.UNVERIFIED)


class Verifier:
    """Judges webhooks by the secrets in force; without any, everything is UNVERIFIED."""

    def __init__(self, secrets: Iterable[str]) -> None:
        """InvalidInput, without the secret in it, where one is not `whsec_` and base64."""
        self._keys = tuple(_key(secret) for secret in secrets)

    def judge(self, webhook_id: bytes, timestamp: bytes, signatures: bytes, body: bytes, now: float) -> Verdict:
        """`signatures` is the header's value; a header that is missing is given as empty. `now` is Unix time."""
        if not self._keys:
            return UNVERIFIED
        wrong = _missing(webhook_id, timestamp, signatures) or _wrong_time(timestamp, now)
        if wrong:
            return Verdict(Judgement.NOT_VERIFIED, wrong)
        signed = b"%b.%b.%b" % (webhook_id, timestamp, body)
        offered = tuple(_digests(signatures))
        for key in self._keys:
            expected = hmac.digest(key, signed, "sha256")
            if any(hmac.compare_digest(expected, digest) for digest in offered):
                return VERIFIED
        return Verdict(Judgement.NOT_VERIFIED, "no signature fits" if offered else "no v1 signature")


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
    if not timestamp.isdigit() or len(timestamp) > _TEXT_LIMIT:
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
