"""TLS over a non-blocking socket, in steps of bounded length.

`ssl.SSLSocket.recv` loops while the peer sends records without data, such as session tickets. One endpoint could
block all others that way. Here, a step decrypts the bytes of a single `recv` of the socket.
"""

import contextlib
import ssl
from pathlib import Path
from socket import socket

from urllib3.util.ssl_ import create_urllib3_context

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
