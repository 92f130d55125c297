"""Sends samples to an endpoint and says what it replied."""

import secrets
import ssl
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hookfarm.delivery_queue.job import Taken
from hookfarm.http_client import outcome
from hookfarm.http_client.connections import Connections
from hookfarm.http_client.deadline import Interrupted
from hookfarm.http_client.request import Prepared, prepare
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

        Each `{"subscription","id","delivered","status","error","headers","detail","duration_ms"}`; `detail` is the
        first kB of what was said. What the time was too short for is an error, too. InvalidInput where the
        endpoint can't be sent to at all.
        """
        marked = replace(endpoint, headers=(*endpoint.headers, MARK))
        prepared = prepare(marked, self.allowed, self.vault)
        transport = Transport(Connections(self.tls, self.allowed), self.give_up)
        ends = time.monotonic() + within_seconds
        try:
            return [self._post(transport, prepared, sample, ends) for sample in samples]
        finally:
            transport.close()

    def _post(self, transport: Transport, prepared: Prepared, sample: Sample, ends: float) -> dict[str, Any]:
        taken = Taken(0, f"msg_test_{secrets.token_hex(12)}", prepared.endpoint.id, 1, {}, sample.body)
        began = time.monotonic()
        seconds = min(prepared.endpoint.timeout_seconds, ends - began)
        try:
            result = transport.post(prepared.target, prepared.request(taken, time.time()), seconds)
        except Interrupted:
            result = outcome.TransportError("interrupted", "hookfarm is stopping")
        answered = isinstance(result, outcome.Response)
        return {
            "subscription": sample.subscription,
            "id": taken.id,
            "delivered": isinstance(result, outcome.Response) and 200 <= result.status < 300,
            "status": None,
            "error": None,
            **outcome.describe(outcome.without(result, prepared.secrets)),
            **({"headers": _headers(transport, prepared.secrets)} if answered else {}),
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
