"""Signed HTTP request of an attempt; its shared parts are compiled once per version of an endpoint.

Signatures follow Standard Webhooks 1.0. The signed content is `id.timestamp.body`. The key is the base64-decoded
part of the secret after `whsec_`. The header contains one `v1,<base64 of HMAC-SHA256>` per secret in force,
separated by spaces.
"""

import base64
import binascii
import functools
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import hookfarm
from hookfarm.delivery_queue.job import ClaimedJob
from hookfarm.records import Endpoint
from hookfarm.security import redaction
from hookfarm.security.ssrf import IPNetwork, Target, parse
from hookfarm.security.vault import NO_KEYS, Vault

SECRET_PREFIX = "whsec_"

SigningKey = hmac.HMAC
"""HMAC state of a secret. A copy costs a third of a new state."""

_REQUEST = (
    b"%b%bcontent-length: %d\r\nwebhook-id: %b\r\nwebhook-timestamp: %b\r\n"
    b"webhook-signature: %b\r\nwebhook-attempt: %d\r\n\r\n%b"
)


@dataclass(frozen=True)
class CompiledEndpoint:
    """An endpoint with the parts that all its requests share."""

    endpoint: Endpoint
    target: Target
    head: bytes
    keys: tuple[tuple[SigningKey, float | None], ...]

    @functools.cached_property
    def secrets(self) -> tuple[str, ...]:
        """Secrets in URL and headers, to be redacted from responses that echo the request."""
        endpoint = self.endpoint
        return (*redaction.secrets_of_headers(endpoint.headers), *redaction.secrets_of_url(endpoint.url))

    def request(self, job: ClaimedJob, now: float, extra_headers: bytes = b"") -> bytes:
        """Return the signed HTTP request of an attempt at `now` (Unix time).

        `extra_headers` consists of complete lines, each with its CRLF.
        """
        timestamp = b"%d" % now
        webhook_id = job.id.encode()
        keys_in_force = [key for key, expires in self.keys if expires is None or expires > now]
        return _REQUEST % (
            self.head,
            extra_headers,
            len(job.body),
            webhook_id,
            timestamp,
            signature_header(keys_in_force, webhook_id, timestamp, job.body),
            job.attempt,
            job.body,
        )


def compile_endpoint(endpoint: Endpoint, allowed: Sequence[IPNetwork], vault: Vault = NO_KEYS) -> CompiledEndpoint:
    """Compile an endpoint. Raises InvalidInput if its URL is not allowed or `vault` can't decrypt its secrets."""
    target = parse(endpoint.url, allowed)
    lines = [
        f"POST {target.path} HTTP/1.1",
        f"host: {target.authority}",
        f"user-agent: hookfarm/{hookfarm.__version__}",
        "accept: */*",
        "accept-encoding: identity",
        "content-type: application/json",
        *(f"{name}: {value}" for name, value in endpoint.headers),
    ]
    keys_ = tuple((signing_key(vault.open(secret, endpoint.id)), until) for secret, until in endpoint.secrets)
    return CompiledEndpoint(endpoint, target, "\r\n".join([*lines, ""]).encode(), keys_)


def signing_key(secret: str) -> SigningKey:
    """Return the key of a secret. Raises ValueError unless it is `whsec_` followed by base64."""
    if not secret.startswith(SECRET_PREFIX):
        raise ValueError(f"a signing secret must begin with {SECRET_PREFIX}")
    return hmac.new(base64.b64decode(secret[len(SECRET_PREFIX) :], validate=True), digestmod="sha256")


def signature_header(keys: Iterable[SigningKey], webhook_id: bytes, timestamp: bytes, body: bytes) -> bytes:
    """Return the value of `webhook-signature`; the signatures are in the order of `keys`."""
    signed = b"%b.%b.%b" % (webhook_id, timestamp, body)
    return b" ".join([_signature(key, signed) for key in keys])


def _signature(key: SigningKey, signed: bytes) -> bytes:
    state = key.copy()
    state.update(signed)
    return b"v1," + binascii.b2a_base64(state.digest(), newline=False)
