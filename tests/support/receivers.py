"""What webhooks are sent to in tests: a receiver that notes everything before it answers, and hostile ones.

Both are real servers on loopback, on a free port, with a thread per connection; all of it is gone at the end.
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

"""After this a scripted wait gives up, so that a failing test ends."""

Script = Callable[[socket.socket, int], None]
"""What a peer does with one connection, the how manieth (from 1); the connection is closed when it returns."""


class Peer:
    """A server on a raw socket that does to each connection what its script says."""

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
        """How many were accepted."""
        self.port: int = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, name="peer")
        self._acceptor.start()

    @property
    def url(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}/hook"

    @property
    def live_connections(self) -> int:
        """How many are open, as far as this side knows."""
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
            pass  # The client went away, which is its right.
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
    """Skips the test on a machine whose loopback has no IPv6 address."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"no IPv6 on loopback: {error}")


def read_request(connection: socket.socket) -> tuple[bytes, bytes]:
    """Head and body of the next request; ConnectionError where there is none."""
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
    """Returns when the client has closed its side."""
    while connection.recv(65536):
        pass


@dataclass(frozen=True)
class Reply:
    """One scripted answer; `after` must be set before it is sent, `close` ends the connection behind it."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b"ok"
    after: threading.Event | None = None
    close: bool = False


@dataclass(frozen=True)
class Received:
    """One POST, noted before it was answered."""

    id: str
    attempt: int
    at: float
    signature_valid: bool
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = field(repr=False)
    connection: int

    def header(self, name: str) -> str:
        """The header's value; it must be there exactly once."""
        [value] = [v for n, v in self.headers if n == name]
        return value


class Receiver:
    """A receiver that verifies, notes, and answers as told: the next of `reply_with`, else `default`."""

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
        """How many have been accepted so far."""
        return self._peer.connections

    @property
    def live_connections(self) -> int:
        return self._peer.live_connections

    def trust(self, *secrets: str) -> None:
        """A signature by any of these is valid."""
        self._secrets.extend(secrets)

    def reply_with(self, *replies: Reply | int) -> None:
        """What to answer next, in this order."""
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
    """The judgement of the reference library of Standard Webhooks."""
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
    """A receiver, gone at the end."""
    receiver = Receiver(tls, host)
    try:
        yield receiver
    finally:
        receiver.close()
