"""The receiver: an HTTP server for webhooks, standalone or as a child of a farm."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path

from hookfarm.config import Address
from hookfarm.errors import CouldNotBoot
from hookfarm.farm.async_child import heartbeat, stop_event
from hookfarm.farm.child import Child
from hookfarm.receiver.protocol import ReceiverProtocol, WebhookRequest
from hookfarm.receiver.report import ReceivedWebhook, ReceiverCounts, WebhookReport
from hookfarm.receiver.verification import VerificationStatus, Verifier

SERVICE = "receiver"
RECEIVED = 0
"""Counter of the slot: all webhooks."""
NOT_VERIFIED = 1
"""Counter of the slot: webhooks with an invalid signature."""
HEARTBEAT_SECONDS = 0.5
HEARTBEAT_WITHIN_SECONDS = 2.0
TEXT_SECONDS = 0.02
"""Min time between two reports with a text."""
BACKLOG = 2048
"""Connections waiting to be accepted: all workers connect at once for the first block."""


def run(child: Child, address: Address, secrets: Sequence[str], report_pipe: Path) -> None:
    """Run the receiver in a child. Raises CouldNotBoot if it cannot listen on the address.

    `report_pipe` is a named pipe with a reader; each verified webhook writes a `WebhookReport` line to it.
    """
    asyncio.run(_run(child, address, Verifier(secrets), report_pipe))


async def _run(child: Child, address: Address, verifier: Verifier, report_pipe: Path) -> None:
    pipe = os.open(report_pipe, os.O_WRONLY | os.O_NONBLOCK)
    # A transport, because a slow reader must not delay the responses.
    transport, _ = await asyncio.get_running_loop().connect_write_pipe(
        asyncio.BaseProtocol, os.fdopen(pipe, "wb", buffering=0)
    )
    counts, text_due = ReceiverCounts(), 0.0

    def handle(webhook: ReceivedWebhook) -> None:
        nonlocal text_due
        counts.count(webhook)
        child.slot.set_counter(RECEIVED, counts.received)
        child.slot.set_counter(NOT_VERIFIED, counts.by_status[VerificationStatus.NOT_VERIFIED])
        if webhook.verification.status is VerificationStatus.VERIFIED:
            with_text = webhook.at >= text_due
            text_due = webhook.at + TEXT_SECONDS if with_text else text_due
            transport.write(WebhookReport.of(webhook, with_text=with_text).line())

    try:
        with stop_event(child) as stop:
            async with webhook_server(address, verifier, handle):
                child.mark_up()
                async with heartbeat(child, HEARTBEAT_SECONDS, HEARTBEAT_WITHIN_SECONDS):
                    await stop.wait()
    finally:
        transport.close()


@asynccontextmanager
async def webhook_server(
    address: Address,
    verifier: Verifier,
    handle: Callable[[ReceivedWebhook], object],
    status: int = HTTPStatus.NO_CONTENT,
) -> AsyncIterator[Address]:
    """Listen, and call `handle` with each webhook before the response. Yields the actual address.

    The response is `status`; 401 for an invalid signature, 500 if `handle` raises. Raises CouldNotBoot if it
    cannot listen on the address. The end of the context closes the port and all connections.
    """

    def answer(request: WebhookRequest) -> int:
        webhook = _verified(request, verifier)
        handle(webhook)
        refused = webhook.verification.status is VerificationStatus.NOT_VERIFIED
        return HTTPStatus.UNAUTHORIZED if refused else status

    connections: set[ReceiverProtocol] = set()
    loop = asyncio.get_running_loop()
    try:
        server = await loop.create_server(
            lambda: ReceiverProtocol(answer, connections), address.host, address.port, backlog=BACKLOG
        )
    except OSError as error:
        raise CouldNotBoot(f"port: cannot listen on {address} ({error.strerror or error})") from error
    try:
        yield Address(address.host, server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for connection in list(connections):
            connection.close()
        await server.wait_closed()


def _verified(request: WebhookRequest, verifier: Verifier) -> ReceivedWebhook:
    headers, now = request.headers, time.time()
    webhook_id = headers.get(b"webhook-id", b"")
    verification = verifier.verify(
        webhook_id,
        headers.get(b"webhook-timestamp", b""),
        headers.get(b"webhook-signature", b""),
        request.body,
        now,
    )
    attempt = headers.get(b"webhook-attempt", b"").decode("latin-1")
    return ReceivedWebhook(now, webhook_id.decode("latin-1"), attempt, verification, request.body)
