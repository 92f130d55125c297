"""Sample webhooks of an endpoint: selection and sending."""

import asyncio
import secrets
import ssl
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hookfarm.config import ChainConfig
from hookfarm.delivery_queue.job import ClaimedJob
from hookfarm.errors import Conflict, InvalidInput, NotFound
from hookfarm.event_loop import EventLoop
from hookfarm.http_client.exchange import Headers
from hookfarm.http_client.outcome import Result, TransportError
from hookfarm.http_client.request import CompiledEndpoint, compile_endpoint
from hookfarm.http_client.resolver import Resolver
from hookfarm.http_client.transport import Interrupted, Transport
from hookfarm.records import Endpoint, Subscription
from hookfarm.security import redaction
from hookfarm.security.ssrf import IPNetwork
from hookfarm.security.vault import Vault

MARK = ("webhook-test", "1")


@dataclass(frozen=True)
class SampleWebhook:
    """A body to send, and the id of its subscription."""

    subscription: str | None
    body: bytes


def select(endpoint: Endpoint, subscription_id: str | None, field: str) -> tuple[Subscription, ...]:
    """Return all subscriptions, or the one with this id. Raises InvalidInput for `field` if it is unknown."""
    if subscription_id is None:
        return endpoint.subscriptions
    chosen = tuple(s for s in endpoint.subscriptions if s.id == subscription_id)
    if not chosen:
        raise InvalidInput(field, f"{subscription_id!r} is not a subscription of {endpoint.id}")
    return chosen


def of_subscriptions(subscriptions: Sequence[Subscription]) -> list[SampleWebhook]:
    """Return one sample per subscription; a single one without an event if there are no subscriptions."""
    from hookfarm.sample_webhooks import events  # Imported here: eth_abi takes 0.2 s, and test webhooks are rare.

    return [SampleWebhook(s.id if s else None, events.body(s)) for s in subscriptions or (None,)]


def chains_of(subscriptions: Sequence[Subscription], chains: Sequence[ChainConfig]) -> list[ChainConfig]:
    """Return the configured chains of these subscriptions."""
    wanted = {subscription.chain_id for subscription in subscriptions}
    return [chain for chain in chains if chain.chain_id in wanted]


async def of_transaction(
    endpoint: Endpoint, subscriptions: tuple[Subscription, ...], transaction: str, chains: Sequence[ChainConfig]
) -> list[SampleWebhook]:
    """Return a sample for each match of a log of the transaction with a subscription.

    Raises NotFound if these chains do not contain the transaction, Conflict if none of its logs matches.
    """
    from hookfarm.sample_webhooks import transactions  # Imported here: web3 takes 60 MB, and this is rare.

    found = await asyncio.gather(*(transactions.events(chain, transaction) for chain in chains))
    if all(logs is None for logs in found):
        where = ", ".join(str(chain.chain_id) for chain in chains)
        raise NotFound(f"transaction {transaction} not found on chain {where}")
    logs = [event for of_chain in found if of_chain for event in of_chain]
    samples = await asyncio.to_thread(transactions.matching, endpoint, subscriptions, logs)
    if not samples:
        raise Conflict(f"{transaction}: none of its {len(logs):,} logs matches a subscription of {endpoint.id}")
    return samples


@dataclass(frozen=True)
class SampleSender:
    """Sender of sample webhooks. It stops waiting for a response when `give_up` returns True."""

    tls: ssl.SSLContext
    allowed: Sequence[IPNetwork]
    vault: Vault
    give_up: Callable[[], bool] = lambda: False

    def send(
        self, endpoint: Endpoint, samples: Sequence[SampleWebhook], within_seconds: float
    ) -> list[dict[str, Any]]:
        """Post the webhooks one by one and return the results, in order.

        Each is `{"subscription","id","delivered","status","error","headers","detail","duration_ms"}`; `detail` is
        the first kB of the body. A webhook beyond `within_seconds` has an error too. Raises InvalidInput for an
        endpoint that cannot be compiled.
        """
        marked = replace(endpoint, headers=(*endpoint.headers, MARK))
        compiled = compile_endpoint(marked, self.allowed, self.vault)
        loop = EventLoop()
        transport = Transport(loop, self.tls, self.allowed, Resolver(loop), max_idle=1)
        ends = time.monotonic() + within_seconds
        try:
            return [self._post(transport, compiled, sample, ends) for sample in samples]
        finally:
            transport.close()
            loop.close()

    def _post(
        self, transport: Transport, compiled: CompiledEndpoint, sample: SampleWebhook, ends: float
    ) -> dict[str, Any]:
        job = ClaimedJob(0, f"msg_test_{secrets.token_hex(12)}", compiled.endpoint.id, 1, {}, sample.body)
        began = time.monotonic()
        seconds = min(compiled.endpoint.timeout_seconds, ends - began)
        try:
            request = compiled.request(job, time.time())
            result: Result
            headers: Headers
            result, headers = transport.post(compiled.target, request, seconds, self.give_up)
        except Interrupted:
            result, headers = TransportError("interrupted", "hookfarm is stopping"), ()
        return {
            "subscription": sample.subscription,
            "id": job.id,
            "delivered": result.is_success,
            "status": None,
            "error": None,
            **result.redacted(compiled.secrets).to_record(),
            **({"headers": _headers(headers, compiled.secrets)} if result.status is not None else {}),
            "duration_ms": int((time.monotonic() - began) * 1000),
        }


def _headers(headers: Headers, secrets_sent: Collection[str]) -> dict[str, str]:
    """Return the headers of a response, without the secrets of the request.

    Values of headers with the same name are joined (RFC 9110 section 5.3).
    """
    found: dict[str, str] = {}
    for name, value in headers:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        text = redaction.redact(text, secrets_sent)
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found
