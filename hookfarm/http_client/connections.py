"""Connections to endpoints: sockets and TLS on an event loop, kept alive and bounded in number and age."""

import contextlib
import ssl
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from socket import socket

from urllib3.util.ssl_ import create_urllib3_context

from hookfarm.event_loop import READABLE, EventLoop
from hookfarm.security.ssrf import Target

MAX_IDLE_SECONDS = 30.0
MAX_SESSIONS = 128
"""Maximum number of TLS sessions kept for resumption (RFC 8446 section 2.2), one per origin."""

Origin = tuple[str, str, int]


class Connection:
    """A socket on the loop. `on_ready` is called when one of the awaited events occurs."""

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
        """Watch for `events` from now on: READABLE, WRITABLE or both."""
        if events != self._events:
            self._loop.watch(self._fd, events, self._ready)
            self._events = events

    def send(self, data: bytes | memoryview) -> int:
        """Send as much as the socket accepts; return the number of bytes. Raises OSError."""
        try:
            return self.sock.send(data)
        except BlockingIOError:
            return 0

    def receive(self, max_bytes: int) -> bytes | None:
        """Return received data, b"" if the peer has closed, or None if no data has arrived. Raises OSError."""
        try:
            return self.sock.recv(max_bytes)
        except BlockingIOError:
            return None

    @property
    def has_pending(self) -> bool:
        """Whether received data is buffered in TLS; the loop reports no event for it."""
        return isinstance(self.sock, TlsSocket) and self.sock.has_pending

    def close(self) -> None:
        self.on_ready = _ignore
        self._loop.unwatch(self._fd)
        self.sock.close()

    def _ready(self, _events: int) -> None:
        self.on_ready()


def _ignore() -> None:
    """Replace the callback of a closed connection, so that the callback's owner can be freed."""


class ConnectionPool:
    """Idle connections and TLS sessions of one process, by origin."""

    def __init__(self, loop: EventLoop, tls: ssl.SSLContext, max_idle: int) -> None:
        self.loop = loop
        self.tls = tls
        self._max_idle = max_idle
        self._idle: dict[Origin, dict[Connection, None]] = {}
        """Idle connections by origin, oldest first."""
        self._oldest: OrderedDict[Connection, None] = OrderedDict()
        """Idle connections of all origins, oldest first."""
        self._sessions: OrderedDict[Origin, ssl.SSLSession] = OrderedDict()

    def take(self, target: Target) -> Connection | None:
        """Remove and return the most recently used idle connection to the target's origin.

        Returns None if there is none or it has expired.
        """
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
        """Keep an idle connection for the next request; above the limit, drop the oldest.

        The connection is also dropped if the peer closes it or sends unrequested data.
        """
        connection.idle_since = self.loop.time()
        connection.wait_for(READABLE)
        connection.on_ready = lambda: self._drop(connection)
        self._idle.setdefault(connection.origin, {})[connection] = None
        self._oldest[connection] = None
        if len(self._oldest) > self._max_idle:
            self._drop(next(iter(self._oldest)))

    def expire(self) -> None:
        """Close connections that have been idle for more than MAX_IDLE_SECONDS."""
        too_old = self.loop.time() - MAX_IDLE_SECONDS
        while self._oldest and next(iter(self._oldest)).idle_since < too_old:
            self._drop(next(iter(self._oldest)))

    def session(self, origin: Origin) -> ssl.SSLSession | None:
        """Return the TLS session to resume, or None."""
        return self._sessions.get(origin)

    def remember_session(self, connection: Connection) -> None:
        """Store the TLS session for resumption.

        Call it after the first response: TLS 1.3 sends session tickets after the handshake.
        """
        session = connection.sock.session if isinstance(connection.sock, TlsSocket) else None
        if session is not None:
            self._sessions[connection.origin] = session
            self._sessions.move_to_end(connection.origin)
            if len(self._sessions) > MAX_SESSIONS:
                self._sessions.popitem(last=False)

    def forget_session(self, origin: Origin) -> None:
        """Forget the session after a failure, which the session may have caused."""
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


RECEIVE_BYTES = 16 * 1024
SEND_BYTES = 64 * 1024
"""Maximum bytes encrypted in one step."""
MAX_SILENT_BYTES = 256 * 1024
"""Maximum bytes received without application data: handshake, session tickets, key updates."""


OPTIONS = ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
"""Used instead of urllib3's options, which disable the session tickets of TLS 1.2."""


def tls_context(ca_file: Path | None = None) -> ssl.SSLContext:
    """Return a context for TLS 1.2 or newer that verifies certificates and host names.

    Trusted authorities are those of the system and of `ca_file`. The context is made before the fork: it contains
    no sockets and no secrets of connections.
    """
    context = create_urllib3_context(
        ssl_minimum_version=ssl.TLSVersion.TLSv1_2, cert_reqs=ssl.CERT_REQUIRED, options=OPTIONS
    )
    context.check_hostname = True
    context.load_default_certs()
    if ca_file is not None:
        context.load_verify_locations(cafile=str(ca_file))
    return context


class TlsSocket:
    """TLS on a connected non-blocking socket; `send`, `recv` and `close` work as those of a socket."""

    def __init__(self, sock: socket, context: ssl.SSLContext, host: str, session: ssl.SSLSession | None) -> None:
        """The certificate must be valid for `host`; `session` is resumed if the peer accepts it."""
        self._sock = sock
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host, session=session)
        self._encrypted = memoryview(b"")
        self._encrypted_from = 0
        """Number of the caller's bytes that were encrypted in this step; `_encrypted` is the unsent rest."""
        self._silent_bytes = 0

    @property
    def session(self) -> ssl.SSLSession | None:
        """A copy of the session, for resumption. The copy takes as long as several requests."""
        return self._tls.session

    @property
    def session_reused(self) -> bool:
        return bool(self._tls.session_reused)

    @property
    def has_pending(self) -> bool:
        """Whether received data waits to be decrypted; the loop reports no event for it."""
        return self._incoming.pending > 0

    def handshake(self) -> bool:
        """Continue the handshake; return whether it is complete. Raises OSError.

        The last handshake message is sent together with the first data.
        """
        with contextlib.suppress(BlockingIOError):
            self._fill()
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._sock.sendall(self._outgoing.read())
            return False
        except ssl.SSLError:
            with contextlib.suppress(OSError):
                self._sock.sendall(self._outgoing.read())  # The TLS alert.
            raise
        return True

    def send(self, data: bytes | memoryview) -> int:
        """Send data; return the number of bytes. After BlockingIOError, call it again with the same data."""
        if not self._encrypted:
            self._encrypted_from = self._tls.write(data[:SEND_BYTES])
            self._encrypted = memoryview(self._outgoing.read())
        while self._encrypted:
            self._encrypted = self._encrypted[self._sock.send(self._encrypted) :]
        return self._encrypted_from

    def recv(self, max_bytes: int) -> bytes:
        """Return received data, b"" if the peer has closed. Raises BlockingIOError if no data has arrived."""
        data = self._decrypt(max_bytes) if self.has_pending else None
        if data is None:
            self._fill()
            data = self._decrypt(max_bytes)
        if data is None:
            raise BlockingIOError
        return data

    def close(self) -> None:
        self._sock.close()

    def _fill(self) -> None:
        """Receive records. Raises BlockingIOError if none have arrived."""
        records = self._sock.recv(RECEIVE_BYTES)
        if not records:
            self._incoming.write_eof()
            return
        self._silent_bytes += len(records)
        if self._silent_bytes > MAX_SILENT_BYTES:
            raise ssl.SSLError(f"more than {MAX_SILENT_BYTES} bytes without data")
        self._incoming.write(records)

    def _decrypt(self, max_bytes: int) -> bytes | None:
        try:
            data = self._tls.read(max_bytes)
        except ssl.SSLWantReadError:
            return None
        except ssl.SSLEOFError:
            return b""
        self._silent_bytes = 0
        return data
