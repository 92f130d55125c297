"""The receiver on its port."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus

from hookfarm.config import Address
from hookfarm.errors import CouldNotBoot
from hookfarm.receiver.arrival import Arrival
from hookfarm.receiver.protocol import ReceiverProtocol, Request
from hookfarm.receiver.verification import Judgement, Verifier

BACKLOG = 2048
"""Connections that may wait to be accepted: all workers connect at once when the first block comes."""


@asynccontextmanager
async def receiving(
    address: Address,
    verifier: Verifier,
    handle: Callable[[Arrival], object],
    status: int = HTTPStatus.NO_CONTENT,
) -> AsyncIterator[Address]:
    """Listens, calls `handle` with each webhook before it is answered, and yields the address it has.

    The answer is `status`, but 401 to what is not verified though there are secrets, and 500 where `handle`
    raises. CouldNotBoot where the address cannot be listened on. At the end the port and all connections are
    closed.
    """

    def answer(request: Request) -> int:
        arrival = _arrival(request, verifier)
        handle(arrival)
        refused = arrival.verdict.judgement is Judgement.NOT_VERIFIED
        return HTTPStatus.UNAUTHORIZED if refused else status

    open_ones: set[ReceiverProtocol] = set()
    loop = asyncio.get_running_loop()
    try:
        server = await loop.create_server(
            lambda: ReceiverProtocol(answer, open_ones), address.host, address.port, backlog=BACKLOG
        )
    except OSError as error:
        raise CouldNotBoot(f"port: cannot listen on {address} ({error.strerror or error})") from error
    try:
        yield Address(address.host, server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for connection in list(open_ones):
            connection.close()
        await server.wait_closed()


def _arrival(request: Request, verifier: Verifier) -> Arrival:
    headers, now = request.headers, time.time()
    webhook_id = headers.get(b"webhook-id", b"")
    verdict = verifier.judge(
        webhook_id,
        headers.get(b"webhook-timestamp", b""),
        headers.get(b"webhook-signature", b""),
        request.body,
        now,
    )
    attempt = headers.get(b"webhook-attempt", b"").decode("latin-1")
    return Arrival(now, webhook_id.decode("latin-1"), attempt, verdict, request.body)
