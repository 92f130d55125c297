"""Connections to endpoints: sockets and TLS on an event loop, kept alive and bounded in number and age."""

import ssl
from collections import OrderedDict
from collections.abc import Callable
from socket import socket

from hookfarm.event_loop import READABLE, EventLoop
from hookfarm.http_client.tls import TlsSocket
from hookfarm.security.ssrf import Target

MAX_IDLE_SECONDS = 30.0
MAX_SESSIONS = 128
"""TLS sessions that are remembered for resumption (RFC 8446 section 2.2), of as many origins."""

Origin = tuple[str, str, int]


class Connection:
    """A connected socket on the loop. `on_ready` is called when there is something to read, or room to write."""

    __slots__ = ("_events", "_fd", "_loop", "idle_since", "on_ready", "origin", "sock")

    def __init__(self, loop: EventLoop, origin: Origin, sock: socket, on_ready: Callable[[], None]) -> None:
        self._loop = loop
        self._fd = sock.fileno()
        self._events = 0
        self.origin = origin
        self.sock: socket | TlsSocket = sock
        self.on_ready = on_ready
        self.idle_since = 0.0

    def wait_for(self, events: int) -> None:
        """Watch for READABLE, WRITABLE or both from now on."""
        if events != self._events:
            self._loop.watch(self._fd, events, self._ready)
            self._events = events

    def send(self, data: bytes | memoryview) -> int:
        """Send what there is room for; return how many bytes that were, 0 if none. Raises OSError."""
        try:
            return self.sock.send(data)
        except BlockingIOError:
            return 0

    def receive(self, max_bytes: int) -> bytes | None:
        """Return what has arrived, b"" if the peer has closed, None if nothing has. Raises OSError."""
        try:
            return self.sock.recv(max_bytes)
        except BlockingIOError:
            return None

    @property
    def has_pending(self) -> bool:
        """Whether something has been received that no event will announce."""
        return isinstance(self.sock, TlsSocket) and self.sock.has_pending

    def close(self) -> None:
        self.on_ready = _ignore
        self._loop.unwatch(self._fd)
        self.sock.close()

    def _ready(self, _events: int) -> None:
        self.on_ready()


def _ignore() -> None:
    """Stands for the callback of a closed connection, and lets its owner be freed."""


class ConnectionPool:
    """The idle connections of one process, by origin, and the TLS sessions of earlier ones."""

    def __init__(self, loop: EventLoop, tls: ssl.SSLContext, max_idle: int) -> None:
        self.loop = loop
        self.tls = tls
        self._max_idle = max_idle
        self._idle: dict[Origin, dict[Connection, None]] = {}
        """In the order in which they became idle, as `_oldest` has them of all origins."""
        self._oldest: OrderedDict[Connection, None] = OrderedDict()
        self._sessions: OrderedDict[Origin, ssl.SSLSession] = OrderedDict()

    def take(self, target: Target) -> Connection | None:
        """Return the connection of the target's origin that was used last, if there is an idle one."""
        idle = self._idle.get(origin_of(target))
        if idle is None:
            return None
        connection, _ = idle.popitem()
        self._removed(connection)
        if self.loop.time() - connection.idle_since > MAX_IDLE_SECONDS:
            connection.close()
            return None
        return connection

    def keep(self, connection: Connection) -> None:
        """Keep it for the next request; the one that was idle for longest goes if there are too many.

        A connection on which the peer closes, or sends something unasked, is dropped.
        """
        connection.idle_since = self.loop.time()
        connection.wait_for(READABLE)
        connection.on_ready = lambda: self._drop(connection)
        self._idle.setdefault(connection.origin, {})[connection] = None
        self._oldest[connection] = None
        if len(self._oldest) > self._max_idle:
            self._drop(next(iter(self._oldest)))

    def expire(self) -> None:
        """Close the connections that were idle for too long."""
        too_old = self.loop.time() - MAX_IDLE_SECONDS
        while self._oldest and next(iter(self._oldest)).idle_since < too_old:
            self._drop(next(iter(self._oldest)))

    def session(self, origin: Origin) -> ssl.SSLSession | None:
        """Return the TLS session to resume."""
        return self._sessions.get(origin)

    def remember_session(self, connection: Connection) -> None:
        """To be called after the first response: TLS 1.3 delivers a session with it, not with the handshake."""
        session = connection.sock.session if isinstance(connection.sock, TlsSocket) else None
        if session is not None:
            self._sessions[connection.origin] = session
            self._sessions.move_to_end(connection.origin)
            if len(self._sessions) > MAX_SESSIONS:
                self._sessions.popitem(last=False)

    def forget_session(self, origin: Origin) -> None:
        """After a failure: the session may be its cause."""
        self._sessions.pop(origin, None)

    def close(self) -> None:
        while self._oldest:
            self._drop(next(iter(self._oldest)))

    def _drop(self, connection: Connection) -> None:
        del self._idle[connection.origin][connection]
        self._removed(connection)
        connection.close()

    def _removed(self, connection: Connection) -> None:
        del self._oldest[connection]
        if not self._idle[connection.origin]:
            del self._idle[connection.origin]


def origin_of(target: Target) -> Origin:
    """Return scheme, host and port (RFC 6454)."""
    return (target.scheme, target.host, target.port)
