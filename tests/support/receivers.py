"""Receivers of webhooks in tests: one that records each request before its reply, and hostile ones.

Both are real servers on loopback, on a free port, with a thread per connection.
"""

import contextlib
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tests.support.waiting import PATIENCE_SECONDS, eventually

Script = Callable[[socket.socket, int], None]
"""Function that serves a peer's nth connection (from 1), which is closed when it returns."""


class Peer:
    """A server on a raw socket that runs its script for each connection."""

    def __init__(self, script: Script, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self._script = script
        self._tls = tls
        self._host = host
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family, backlog=128)
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self.connections = 0
        """Number of accepted connections."""
        self.port: int = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, name="peer")
        self._acceptor.start()

    @property
    def url(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}/hook"

    @property
    def live_connections(self) -> int:
        """Number of open connections, as seen by the server."""
        with self._lock:
            return len(self._open)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join()
        self._listener.close()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)
            assert not thread.is_alive(), "a peer's script did not end"

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                with self._lock:
                    self._open.add(connection)
                thread = threading.Thread(target=self._serve, args=(connection, self.connections))
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        used = connection
        try:
            connection.settimeout(PATIENCE_SECONDS)
            if self._tls is not None:
                used = self._tls.wrap_socket(connection, server_side=True)
            self._script(used, number)
        except OSError:
            pass  # The client may disconnect.
        finally:
            with self._lock:
                self._open.discard(connection)
            used.close()
            connection.close()


@contextlib.contextmanager
def peer(script: Script, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Iterator[Peer]:
    running = Peer(script, tls, host)
    try:
        yield running
    finally:
        running.close()


def require_ipv6() -> None:
    """Skip the test on a machine without IPv6 on loopback."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"IPv6 on loopback is unavailable: {error}")


def read_request(connection: socket.socket) -> tuple[bytes, bytes]:
    """Return head and body of the next request. Raises ConnectionError if the client has closed."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _more(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    wanted = int(lengths[0].partition(b":")[2]) if lengths else 0
    while len(body) < wanted:
        body += _more(connection)
    return head, body


def _more(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    if not data:
        raise ConnectionError("the client closed")
    return data


def wait_for_close(connection: socket.socket) -> None:
    """Wait until the client has closed its side."""
    while connection.recv(65536):
        pass


@dataclass(frozen=True)
class Reply:
    """A scripted reply. It is sent after `after` is set; `close` then closes the connection."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b"ok"
    after: threading.Event | None = None
    close: bool = False


@dataclass(frozen=True)
class Received:
    """A POST, recorded before its reply."""

    id: str
    attempt: int
    at: float
    signature_valid: bool
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = field(repr=False)
    connection: int

    def header(self, name: str) -> str:
        """Return the header's value, which must occur exactly once."""
        [value] = [v for n, v in self.headers if n == name]
        return value


class Receiver:
    """A receiver that verifies, records and replies: with the next of `reply_with`, else `default`."""

    def __init__(self, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self.received: list[Received] = []
        self.default = Reply()
        self._replies: deque[Reply] = deque()
        self._secrets: list[str] = []
        self._lock = threading.Lock()
        self._peer = Peer(self._serve, tls, host)

    @property
    def url(self) -> str:
        return self._peer.url

    @property
    def port(self) -> int:
        return self._peer.port

    @property
    def connections(self) -> int:
        """Number of connections accepted so far."""
        return self._peer.connections

    @property
    def live_connections(self) -> int:
        return self._peer.live_connections

    def trust(self, *secrets: str) -> None:
        """Accept signatures by any of these secrets."""
        self._secrets.extend(secrets)

    def reply_with(self, *replies: Reply | int) -> None:
        """Set the next replies, in order."""
        self._replies.extend(Reply(r) if isinstance(r, int) else r for r in replies)

    def wait_for(self, count: int, within: float = PATIENCE_SECONDS) -> list[Received]:
        eventually(lambda: len(self.received) >= count, within, f"{count} deliveries arriving")
        return list(self.received)

    def close(self) -> None:
        self._peer.close()

    def _serve(self, connection: socket.socket, number: int) -> None:
        while True:
            head, body = read_request(connection)
            with self._lock:
                self.received.append(self._note(head, body, number))
                reply = self._replies.popleft() if self._replies else self.default
            if reply.after is not None:
                reply.after.wait(PATIENCE_SECONDS)
            connection.sendall(_encode(reply))
            if reply.close:
                return

    def _note(self, head: bytes, body: bytes, number: int) -> Received:
        request_line, *lines = head.decode("latin-1").split("\r\n")
        headers = tuple((name, value) for name, _, value in (line.partition(": ") for line in lines))
        by_name: dict[str, str] = dict(headers)
        return Received(
            id=by_name.get("webhook-id", ""),
            attempt=int(by_name.get("webhook-attempt", 0)),
            at=time.time(),
            signature_valid=any(verified(secret, body, by_name) for secret in self._secrets),
            path=request_line.split(" ")[1],
            headers=headers,
            body=body,
            connection=number,
        )


def verified(secret: str, body: bytes, headers: dict[str, str]) -> bool:
    """Return whether the reference library of Standard Webhooks accepts the signature."""
    try:
        verdict: Any = Webhook(secret).verify(body, headers)
    except WebhookVerificationError:
        return False
    return verdict is not None


def _encode(reply: Reply) -> bytes:
    lines = [f"HTTP/1.1 {reply.status} Scripted", *(f"{name}: {value}" for name, value in reply.headers)]
    if reply.status >= 200 and reply.status not in (204, 304):
        lines.append(f"content-length: {len(reply.body)}")
    return "\r\n".join([*lines, "", ""]).encode() + (reply.body if reply.status not in (204, 304) else b"")


@contextlib.contextmanager
def running_receiver(tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Iterator[Receiver]:
    """Run a receiver during the context."""
    receiver = Receiver(tls, host)
    try:
        yield receiver
    finally:
        receiver.close()
