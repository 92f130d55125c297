"""`POST /v1/endpoints/{id}/test`: samples, sent in threads of their own."""

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
from hookfarm.records.fields import WORD, hex_text, refuse_unknown, text
from hookfarm.security.vault import Vault
from hookfarm.test_events import webhooks
from hookfarm.test_events.send import Sample, Sender

AT_ONCE = 8
"""Endpoints that may be tried at the same time; one more is refused."""
MOST_SAMPLES = 20
MOST_SECONDS = 60.0
"""For all samples of one request."""


def build_router(context: Context) -> APIRouter:
    router = APIRouter(prefix="/endpoints", tags=["endpoints"])
    trying = Trying(context)

    @router.post(
        "/{endpoint_id}/test",
        **described(
            "Sends it samples.",
            examples.TESTED,
            "TestReplies",
            body="Test",
            body_required=False,
            errors=(404, 409, 502),
        ),
    )
    async def try_endpoint(endpoint_id: EndpointId, body: OptionalJsonObject) -> Response:
        """A signed sample of each subscription, with made-up arguments, or what the logs of a transaction are to
        it. They carry `webhook-test: 1`. The answer is what the receiver said, its body up to 1 kB. An endpoint
        that is disabled can be tried too."""
        return await trying.answer(endpoint_id, body)

    return router


class Trying:
    """What the route does."""

    def __init__(self, context: Context) -> None:
        self._context = context
        settings = context.settings
        vault = Vault(settings.master_key)
        self._sender = Sender(
            tls_context(settings.ca_file), settings.allow_private, vault, context.stopping.is_set
        )
        self._places = CapacityLimiter(AT_ONCE)

    async def answer(self, endpoint_id: str, body: dict[str, Any]) -> Response:
        if self._places.available_tokens < 1:
            raise Problem(503, f"{AT_ONCE} endpoints are being tried at this moment.")
        name, transaction = _asked(body)
        endpoint = await anyio.to_thread.run_sync(self._find, endpoint_id)
        subscriptions = webhooks.select(endpoint, name, "subscription")
        if transaction is None:
            samples = await anyio.to_thread.run_sync(webhooks.made_up, subscriptions[:MOST_SAMPLES])
        else:
            samples = await self._of_transaction(endpoint, subscriptions, transaction)
        replies = await anyio.to_thread.run_sync(self._send, endpoint, samples, limiter=self._places)
        return json_response({"data": replies})

    def _find(self, endpoint_id: str) -> Endpoint:
        try:
            return self._context.registry().get(endpoint_id)
        except InvalidInput as error:
            raise Problem(409, f"What is stored under this id is no endpoint: {error}") from error

    def _send(self, endpoint: Endpoint, samples: list[Sample]) -> list[dict[str, Any]]:
        try:
            return self._sender.send(endpoint, samples[:MOST_SAMPLES], MOST_SECONDS)
        except InvalidInput as error:
            raise Problem(409, f"It cannot be sent to: {error}") from error

    async def _of_transaction(
        self, endpoint: Endpoint, subscriptions: tuple[Subscription, ...], transaction: str
    ) -> list[Sample]:
        chains = webhooks.chains_of(subscriptions, self._context.settings.chains)
        if not chains:
            raise Problem(409, "This farm watches none of the chains of its subscriptions.", "transaction_hash")
        try:
            return await webhooks.of_transaction(endpoint, subscriptions, transaction, chains)
        except Conflict as error:
            raise Problem(409, str(error), "transaction_hash") from error


def _asked(body: dict[str, Any]) -> tuple[str | None, str | None]:
    """Subscription and transaction."""
    refuse_unknown(body, {"subscription", "transaction_hash"})
    name = text(body, "subscription", 64) if "subscription" in body else None
    transaction = hex_text(body, "transaction_hash", WORD, "32 bytes") if "transaction_hash" in body else None
    return name, transaction
