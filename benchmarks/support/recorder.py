"""A receiver that answers 204, verifies each signature on its own, and notes when each webhook came.

    recorder.py SECRET FILE      prints its port, and `came` at the first webhook whose signature is right;
                                 on SIGTERM writes `<webhook-id> <Unix ns> <1 = verified>` lines to FILE

Only the standard library, and none of hookfarm's code: what it accepts, another receiver would.
"""

import asyncio
import base64
import hashlib
import hmac
import signal
import sys
import time
from pathlib import Path

_ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"

Arrival = tuple[bytes, int, bool]


class Recording(asyncio.Protocol):
    """One connection. Requests come one after the other, each with a content-length."""

    def __init__(self, key: bytes, arrivals: list[Arrival]) -> None:
        self._key = key
        self._arrivals = arrivals
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        now = time.time_ns()
        self._buffer += data
        while True:
            head, end, rest = self._buffer.partition(b"\r\n\r\n")
            if not end:
                return
            fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
            length = int(fields[b"content-length"])
            if len(rest) < length:
                return
            self._buffer = rest[length:]
            self._take(head, fields, rest[:length], now)

    def _take(self, head: bytes, fields: dict[bytes, bytes], body: bytes, now: int) -> None:
        self._transport.write(_ANSWER)
        webhook_id, timestamp = fields[b"webhook-id"], fields[b"webhook-timestamp"]
        digest = hmac.digest(self._key, b"%b.%b.%b" % (webhook_id, timestamp, body), hashlib.sha256)
        verified = b"v1," + base64.b64encode(digest) in head
        if verified and not self._arrivals:
            print("came", flush=True)
        self._arrivals.append((webhook_id, now, verified))


async def record(secret: str, notes: Path) -> None:
    """Listens on a free port of 127.0.0.1 until SIGTERM."""
    key, stopped = base64.b64decode(secret.removeprefix("whsec_")), asyncio.Event()
    arrivals: list[Arrival] = []
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    server = await loop.create_server(lambda: Recording(key, arrivals), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await stopped.wait()
    server.close()
    notes.write_text("".join(f"{i.decode()} {at} {verified:d}\n" for i, at, verified in arrivals))


if __name__ == "__main__":
    asyncio.run(record(sys.argv[1], Path(sys.argv[2])))
