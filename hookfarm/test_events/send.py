"""Sends samples to an endpoint and says what it replied."""

import secrets
import ssl
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hookfarm.delivery_queue.job import ClaimedJob
from hookfarm.http_client.connections import ConnectionPool
from hookfarm.http_client.deadline import Interrupted
from hookfarm.http_client.outcome import Result, TransportError
from hookfarm.http_client.request import CompiledEndpoint, compile_endpoint
from hookfarm.http_client.transport import Transport
from hookfarm.records import Endpoint
from hookfarm.security import redaction
from hookfarm.security.ssrf import IPNetwork
from hookfarm.security.vault import Vault

MARK = ("webhook-test", "1")


@dataclass(frozen=True)
class Sample:
    """One body, and the subscription that it is for."""

    subscription: str | None
    body: bytes


@dataclass(frozen=True)
class Sender:
    """What samples are sent with; `give_up` is asked while waiting."""

    tls: ssl.SSLContext
    allowed: Sequence[IPNetwork]
    vault: Vault
    give_up: Callable[[], bool] = lambda: False

    def send(self, endpoint: Endpoint, samples: Sequence[Sample], within_seconds: float) -> list[dict[str, Any]]:
        """Posts them one after the other and returns the replies, in order.

        Each `{"subscription","id","delivered","status","error","headers","detail","duration_ms"}`; `detail` is
        the first kB of the body. What the time was too short for is an error, too. InvalidInput where the
        endpoint can't be sent to at all.
        """
        marked = replace(endpoint, headers=(*endpoint.headers, MARK))
        compiled = compile_endpoint(marked, self.allowed, self.vault)
        transport = Transport(ConnectionPool(self.tls, self.allowed), self.give_up)
        ends = time.monotonic() + within_seconds
        try:
            return [self._post(transport, compiled, sample, ends) for sample in samples]
        finally:
            transport.close()

    def _post(
        self, transport: Transport, compiled: CompiledEndpoint, sample: Sample, ends: float
    ) -> dict[str, Any]:
        job = ClaimedJob(0, f"msg_test_{secrets.token_hex(12)}", compiled.endpoint.id, 1, {}, sample.body)
        began = time.monotonic()
        seconds = min(compiled.endpoint.timeout_seconds, ends - began)
        try:
            result: Result = transport.post(compiled.target, compiled.request(job, time.time()), seconds)
        except Interrupted:
            result = TransportError("interrupted", "hookfarm is stopping")
        return {
            "subscription": sample.subscription,
            "id": job.id,
            "delivered": result.is_success,
            "status": None,
            "error": None,
            **result.redacted(compiled.secrets).to_record(),
            **({"headers": _headers(transport, compiled.secrets)} if result.status is not None else {}),
            "duration_ms": int((time.monotonic() - began) * 1000),
        }


def _headers(transport: Transport, secrets_sent: Collection[str]) -> dict[str, str]:
    """Those of one name in one line, as RFC 9110 section 5.3 has it; without the secrets that were sent."""
    found: dict[str, str] = {}
    for name, value in transport.last_headers:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        text = redaction.blank(text, secrets_sent)
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found
