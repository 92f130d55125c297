"""A receiver that verifies each signature, records each arrival, and responds as configured.

    recorder.py SECRET FILE [--status N] [--after SECONDS] [--drip] [--tls CERTIFICATE KEY]

It prints its port, and `came` at the first webhook with a valid signature. It responds 204 at once, or with status
N or after SECONDS. With status 0 it never responds; with --drip it sends a byte a second, without end. GET /load
returns the numbers of arrived and unanswered webhooks as JSON. On SIGTERM it writes a line
`<webhook-id> <Unix ns> <1 = verified>` per webhook to FILE.

It uses the standard library only and shares no code with hookfarm, so its verification is independent.
"""

import argparse
import asyncio
import base64
import hashlib
import hmac
import json
import resource
import signal
import ssl
import time
from dataclasses import dataclass
from pathlib import Path

Arrival = tuple[bytes, int, bool]
DRIPPED = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n"


@dataclass(frozen=True)
class Behaviour:
    """Response to each webhook; `status` 0 = never, `drip` = a byte a second."""

    key: bytes
    status: int
    after_seconds: float
    drip: bool

    @property
    def answer(self) -> bytes:
        length = b"" if self.status == 204 else b"content-length: 0\r\n"
        return b"HTTP/1.1 %d Told\r\n%b\r\n" % (self.status, length)


class Load:
    """Unanswered webhooks: their number, its maximum, and its integral over time."""

    def __init__(self) -> None:
        self._in_flight = 0
        self._peak = 0
        self._seconds = 0.0
        self._changed = time.monotonic()

    def change(self, by: int) -> None:
        self._advance()
        self._in_flight += by
        self._peak = max(self._peak, self._in_flight)

    def as_json(self, requests: int) -> bytes:
        self._advance()
        shown = {"requests": requests, "in_flight": self._in_flight, "peak_in_flight": self._peak}
        return json.dumps({**shown, "in_flight_seconds": self._seconds}).encode()

    def _advance(self) -> None:
        now = time.monotonic()
        self._seconds += self._in_flight * (now - self._changed)
        self._changed = now


class Recording(asyncio.Protocol):
    """One connection. Requests arrive one after the other; each webhook has a content-length."""

    def __init__(self, behaviour: Behaviour, arrivals: list[Arrival], load: Load) -> None:
        self._behaviour = behaviour
        self._answer_bytes = behaviour.answer
        self._arrivals = arrivals
        self._load = load
        self._waiting = 0
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, _: Exception | None) -> None:
        self._load.change(-self._waiting)
        self._waiting = 0

    def data_received(self, data: bytes) -> None:
        now = time.time_ns()
        self._buffer += data
        while True:
            head, end, rest = self._buffer.partition(b"\r\n\r\n")
            if not end:
                return
            fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
            length = int(fields.get(b"content-length", b"0"))
            if len(rest) < length:
                return
            self._buffer = rest[length:]
            if head.startswith(b"GET "):
                self._tell()
            else:
                self._take(head, fields, rest[:length], now)

    def _tell(self) -> None:
        told = self._load.as_json(len(self._arrivals))
        self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(told), told))

    def _take(self, head: bytes, fields: dict[bytes, bytes], body: bytes, now: int) -> None:
        self._waiting += 1
        self._load.change(1)
        if self._behaviour.drip:
            self._drip(0)
        elif self._behaviour.status and not self._behaviour.after_seconds:
            self._answer()
        elif self._behaviour.status:
            asyncio.get_running_loop().call_later(self._behaviour.after_seconds, self._answer)
        webhook_id, timestamp = fields[b"webhook-id"], fields[b"webhook-timestamp"]
        digest = hmac.digest(self._behaviour.key, b"%b.%b.%b" % (webhook_id, timestamp, body), hashlib.sha256)
        verified = b"v1," + base64.b64encode(digest) in head
        if verified and not self._arrivals:
            print("came", flush=True)
        self._arrivals.append((webhook_id, now, verified))

    def _drip(self, at: int) -> None:
        if not self._transport.is_closing():
            self._transport.write(DRIPPED[at : at + 1] or b"x")
            asyncio.get_running_loop().call_later(1.0, self._drip, at + 1)

    def _answer(self) -> None:
        if self._waiting:
            self._transport.write(self._answer_bytes)
            self._waiting -= 1
            self._load.change(-1)


async def record(behaviour: Behaviour, notes: Path, tls: ssl.SSLContext | None) -> None:
    """Listen on a free port of 127.0.0.1 until SIGTERM."""
    stopped, load = asyncio.Event(), Load()
    arrivals: list[Arrival] = []
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    server = await loop.create_server(
        lambda: Recording(behaviour, arrivals, load), "127.0.0.1", 0, backlog=4096, ssl=tls
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await stopped.wait()
    server.close()
    notes.write_text("".join(f"{i.decode()} {at} {verified:d}\n" for i, at, verified in arrivals))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("secret")
    parser.add_argument("notes", type=Path)
    parser.add_argument("--status", type=int, default=204)
    parser.add_argument("--after", type=float, default=0.0)
    parser.add_argument("--drip", action="store_true")
    parser.add_argument("--tls", nargs=2, metavar=("CERTIFICATE", "KEY"))
    given = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    key = base64.b64decode(given.secret.removeprefix("whsec_"))
    behaviour = Behaviour(key, given.status, given.after, given.drip)
    asyncio.run(record(behaviour, given.notes, _server_context(*given.tls) if given.tls else None))


def _server_context(certificate: str, key: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


if __name__ == "__main__":
    main()
