"""The receiver of the chaos tests, a process of its own: writes down each webhook before it answers it.

    python -m tests.chaos.recorder FILE

Prints its port, and lives until its stdin ends. The path says what it does: `/<behaviour>/<endpoint id>`, where
`200`, `503` … is the answer, `slow-250` answers 200 after that many milliseconds, and `hold` never answers.
Each request is one line of FILE, in one write, in the page cache before a byte of the answer leaves:

    <webhook-id> <monotonic time> <1 if the signature is valid> <endpoint id> <peer port> <attempt>
"""

import asyncio
import os
import sys
import time
from collections.abc import Callable

import httptools

from hookfarm.receiver.protocol import response
from hookfarm.receiver.verification import VerificationStatus, Verifier
from tests.chaos.endpoint_secrets import secret_of

BACKLOG = 2048


class Recorder:
    """What all connections share: the file, and a verifier for each endpoint, made when it is first heard of."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._verifiers: dict[str, Verifier] = {}

    def note(self, endpoint: str, headers: dict[bytes, bytes], body: bytes, port: int) -> None:
        webhook_id = headers.get(b"webhook-id", b"-").decode("latin-1")
        valid = self.is_signed(endpoint, headers, body)
        attempt = headers.get(b"webhook-attempt", b"0").decode("latin-1")
        self.write(f"{webhook_id} {time.monotonic():.6f} {valid:d} {endpoint} {port} {attempt}\n".encode())

    def write(self, line: bytes) -> None:
        os.write(self._file, line)

    def is_signed(self, endpoint: str, headers: dict[bytes, bytes], body: bytes) -> bool:
        verdict = self._verifier(endpoint).verify(
            headers.get(b"webhook-id", b"-"),
            headers.get(b"webhook-timestamp", b""),
            headers.get(b"webhook-signature", b""),
            body,
            time.time(),
        )
        return verdict.status is VerificationStatus.VERIFIED

    def _verifier(self, endpoint: str) -> Verifier:
        if endpoint not in self._verifiers:
            self._verifiers[endpoint] = Verifier([secret_of(endpoint)])
        return self._verifiers[endpoint]


class Connection(asyncio.Protocol):
    """One connection of a sender that keeps it alive."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._port = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._port = transport.get_extra_info("peername")[1]

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._path = b""
        self._headers: dict[bytes, bytes] = {}
        self._body = b""

    def on_url(self, url: bytes) -> None:
        self._path += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_body(self, data: bytes) -> None:
        self._body += data

    def on_message_complete(self) -> None:
        _, behaviour, endpoint = self._path.decode().split("/", 2)
        self._recorder.note(endpoint, self._headers, self._body, self._port)
        if behaviour.startswith("slow-"):
            asyncio.get_running_loop().call_later(int(behaviour[5:]) / 1000, self.answer, 200)
        elif behaviour != "hold":
            self.answer(int(behaviour))

    def answer(self, status: int) -> None:
        if self._transport is not None:
            self._transport.write(response(status))


def opened(place: str) -> int:
    return os.open(place, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


async def serve(connection: Callable[[], asyncio.Protocol]) -> None:
    """Prints the port, and returns when stdin has ended."""
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    server = await loop.create_server(connection, "127.0.0.1", 0, backlog=BACKLOG)
    loop.add_reader(0, over.set)
    print(server.sockets[0].getsockname()[1], flush=True)
    await over.wait()


if __name__ == "__main__":
    shared = Recorder(opened(sys.argv[1]))
    asyncio.run(serve(lambda: Connection(shared)))
