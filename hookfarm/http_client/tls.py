"""TLS over a non-blocking socket, in steps of bounded length.

`ssl.SSLSocket.recv` goes on as long as the peer sends records without data, session tickets for example, so that
one endpoint could block all others. Here a step decrypts what a single `recv` of the socket has returned.
"""

import contextlib
import ssl
from pathlib import Path
from socket import socket

from urllib3.util.ssl_ import create_urllib3_context

RECEIVE_BYTES = 16 * 1024
SEND_BYTES = 64 * 1024
"""Encrypted in one step."""
MAX_SILENT_BYTES = 256 * 1024
"""Received without any data of the response in it: handshake, session tickets, key updates."""


OPTIONS = ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
"""In place of urllib3's own, which forbid the tickets that TLS 1.2 resumes sessions with."""


def tls_context(ca_file: Path | None = None) -> ssl.SSLContext:
    """TLS 1.2 or newer, certificates and host names verified against the system's authorities and `ca_file`.

    Made before the fork and inherited: it holds no socket and no connection's secrets.
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
    """A connected non-blocking socket inside TLS; `send`, `recv` and `close` are those of a socket."""

    def __init__(self, sock: socket, context: ssl.SSLContext, host: str, session: ssl.SSLSession | None) -> None:
        """`host` is what the certificate must be valid for; `session` is an earlier one, to be resumed."""
        self._sock = sock
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host, session=session)
        self._encrypted = memoryview(b"")
        self._encrypted_from = 0
        """How many bytes of the caller's data `_encrypted` is the rest of."""
        self._silent_bytes = 0

    @property
    def session(self) -> ssl.SSLSession | None:
        """The session to resume. A copy, which takes as long as several requests."""
        return self._tls.session

    @property
    def session_reused(self) -> bool:
        return bool(self._tls.session_reused)

    @property
    def has_pending(self) -> bool:
        """Whether something has been received that is not decrypted yet: no event will announce it."""
        return self._incoming.pending > 0

    def handshake(self) -> bool:
        """Go on as far as the peer's messages allow; return True when it is complete. Raises OSError.

        The last message to the peer is sent with the first data.
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
                self._sock.sendall(self._outgoing.read())  # The alert.
            raise
        return True

    def send(self, data: bytes | memoryview) -> int:
        """Return how many bytes have been sent. Raises BlockingIOError; then call it again with the same data."""
        if not self._encrypted:
            self._encrypted_from = self._tls.write(data[:SEND_BYTES])
            self._encrypted = memoryview(self._outgoing.read())
        while self._encrypted:
            self._encrypted = self._encrypted[self._sock.send(self._encrypted) :]
        return self._encrypted_from

    def recv(self, max_bytes: int) -> bytes:
        """Return data, b"" if the peer has closed. Raises BlockingIOError if no data has arrived."""
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
        """Raises BlockingIOError if nothing has arrived."""
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
