"""`POST /v1/endpoints/{id}/test`: test webhooks, sent in threads."""

from typing import Any

import anyio.to_thread
from anyio import CapacityLimiter
from fastapi import APIRouter
from starlette.responses import Response

from hookfarm.api import examples
from hookfarm.api.context import Context
from hookfarm.api.openapi import described
from hookfarm.api.requests import EndpointId, OptionalJsonObject
from hookfarm.api.responses import Problem, json_response
from hookfarm.errors import Conflict, InvalidInput
from hookfarm.http_client.connections import tls_context
from hookfarm.records import Endpoint, Subscription
from hookfarm.records.fields import BYTES32, hex_text, refuse_unknown, text
from hookfarm.sample_webhooks import webhooks
from hookfarm.sample_webhooks.webhooks import SampleSender, SampleWebhook
from hookfarm.security.vault import Vault

MAX_CONCURRENT_TESTS = 8
"""Further requests get 503."""
MAX_WEBHOOKS = 20
MAX_SECONDS = 60.0
"""Time for all test webhooks of one request."""


def build_router(context: Context) -> APIRouter:
    router = APIRouter(prefix="/endpoints", tags=["endpoints"])
    tester = EndpointTester(context)

    @router.post(
        "/{endpoint_id}/test",
        **described(
            "Send test webhooks.",
            examples.TESTED,
            "TestReplies",
            body="Test",
            body_required=False,
            errors=(404, 409, 502),
        ),
    )
    async def test_endpoint(endpoint_id: EndpointId, body: OptionalJsonObject) -> Response:
        """Send a signed webhook per subscription: of a sample event, or of a transaction's logs. Each has the
        header `webhook-test: 1`. The response contains the receiver's replies, their bodies up to 1 kB. Disabled
        endpoints can be tested, too."""
        return await tester.test(endpoint_id, body)

    return router


class EndpointTester:
    """Sender of sample webhooks: chooses them, sends them, and returns the replies."""

    def __init__(self, context: Context) -> None:
        self._context = context
        settings = context.settings
        vault = Vault(settings.master_key)
        self._sender = SampleSender(
            tls_context(settings.ca_file), settings.allow_private, vault, context.stopping.is_set
        )
        self._limiter = CapacityLimiter(MAX_CONCURRENT_TESTS)

    async def test(self, endpoint_id: str, body: dict[str, Any]) -> Response:
        if self._limiter.available_tokens < 1:
            raise Problem(503, f"{MAX_CONCURRENT_TESTS} tests are running; try again later.")
        name, transaction = _parse(body)
        endpoint = await anyio.to_thread.run_sync(self._find, endpoint_id)
        subscriptions = webhooks.select(endpoint, name, "subscription")
        if transaction is None:
            samples = await anyio.to_thread.run_sync(webhooks.of_subscriptions, subscriptions[:MAX_WEBHOOKS])
        else:
            samples = await self._of_transaction(endpoint, subscriptions, transaction)
        replies = await anyio.to_thread.run_sync(self._send, endpoint, samples, limiter=self._limiter)
        return json_response({"data": replies})

    def _find(self, endpoint_id: str) -> Endpoint:
        try:
            return self._context.registry().get(endpoint_id)
        except InvalidInput as error:
            raise Problem(409, f"The stored endpoint is invalid: {error}") from error

    def _send(self, endpoint: Endpoint, samples: list[SampleWebhook]) -> list[dict[str, Any]]:
        try:
            return self._sender.send(endpoint, samples[:MAX_WEBHOOKS], MAX_SECONDS)
        except InvalidInput as error:
            raise Problem(409, f"The endpoint does not accept webhooks: {error}") from error

    async def _of_transaction(
        self, endpoint: Endpoint, subscriptions: tuple[Subscription, ...], transaction: str
    ) -> list[SampleWebhook]:
        chains = webhooks.chains_of(subscriptions, self._context.settings.chains)
        if not chains:
            raise Problem(409, "No node is configured for a subscribed chain.", "transaction_hash")
        try:
            return await webhooks.of_transaction(endpoint, subscriptions, transaction, chains)
        except Conflict as error:
            raise Problem(409, str(error), "transaction_hash") from error


def _parse(body: dict[str, Any]) -> tuple[str | None, str | None]:
    """Return the subscription and the transaction in a request's body."""
    refuse_unknown(body, {"subscription", "transaction_hash"})
    name = text(body, "subscription", 64) if "subscription" in body else None
    transaction = hex_text(body, "transaction_hash", BYTES32, "32 bytes") if "transaction_hash" in body else None
    return name, transaction
