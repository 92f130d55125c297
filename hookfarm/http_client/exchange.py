"""One request and its response under one absolute deadline: resolve, connect, TLS, send, receive.

An exchange is a state machine on the event loop; its steps never block. Redirects, cookies, proxy variables and
content encodings are not supported.
"""

import contextlib
import errno
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence
from ssl import SSLError

from hookfarm.event_loop import READABLE, WRITABLE, Timer
from hookfarm.http_client.connections import RECEIVE_BYTES, Connection, ConnectionPool, TlsSocket, origin_of
from hookfarm.http_client.outcome import Response, Result, TransportError
from hookfarm.http_client.resolver import Resolver, Waiter
from hookfarm.http_client.response import BadResponse, ResponseReader
from hookfarm.security.ssrf import AddressRefused, IPAddress, IPNetwork, NameNotResolved, Target, check

MAX_ADDRESSES = 16
"""Maximum number of addresses of a name that are tried. All addresses are checked."""

Headers = Sequence[tuple[bytes, bytes]]


class Exchange:
    """One request and its response.

    `on_result` is called exactly once with the result, or never after `cancel`. If the endpoint has closed a kept
    connection, one new connection replaces it within the same deadline.
    """

    def __init__(
        self,
        pool: ConnectionPool,
        resolver: Resolver,
        allowed: Sequence[IPNetwork],
        target: Target,
        request: bytes,
        on_result: Callable[["Exchange", Result], None],
    ) -> None:
        self._pool = pool
        self._loop = pool.loop
        self._resolver = resolver
        self._allowed = allowed
        self._target = target
        self._request = request
        self._unsent: bytes | memoryview = request
        self._on_result: Callable[[Exchange, Result], None] | None = on_result
        self._deadline: Timer | None = None
        self._ends = 0.0
        self._query: Waiter | None = None
        self._addresses: deque[IPAddress] = deque()
        self._address_deadline: Timer | None = None
        self._connection: Connection | None = None
        self._is_kept = False
        self._reader = ResponseReader()

    @property
    def headers(self) -> Headers:
        """Headers of the response."""
        return self._reader.headers

    def start(self, timeout_seconds: float) -> None:
        """Begin the exchange. `on_result` may be called before `start` returns."""
        if timeout_seconds <= 0:
            self._end(_as_transport_error(TimeoutError()))
            return
        self._ends = self._loop.time() + timeout_seconds
        self._deadline = self._loop.call_at(self._ends, self._on_deadline)
        self._connection = self._pool.take(self._target)
        if self._connection is None:
            self._resolve()
        else:
            self._is_kept = True
            self._attempt(self._send)

    def cancel(self) -> None:
        """End the exchange without a result."""
        self._on_result = None
        self._release()

    # A step that returns None waits for an event of the loop. The last step returns the complete response.

    def _resolve(self) -> None:
        literal = self._target.literal
        if literal is not None:
            self._attempt(lambda: self._use_addresses((literal,)))
        else:
            self._query = self._resolver.resolve(self._target.host, self._on_resolved)

    def _on_resolved(self, found: tuple[IPAddress, ...] | NameNotResolved) -> None:
        if isinstance(found, NameNotResolved):
            self._fail(found)
        else:
            self._attempt(lambda: self._use_addresses(found))

    def _use_addresses(self, addresses: Sequence[IPAddress]) -> None:
        check(self._target, addresses, self._allowed)
        self._addresses.extend(addresses[:MAX_ADDRESSES])
        self._connect_next(OSError("no address"))

    def _connect_next(self, failure: OSError) -> None:
        """Connect to the next address; skip addresses that fail at once.

        Each address has an equal share of the time left. Raises the last failure after the last address.
        """
        while self._addresses:
            share = (self._ends - self._loop.time()) / len(self._addresses)
            try:
                self._connect(self._addresses.popleft())
            except OSError as error:
                failure = error
                self._close()
                continue
            if self._addresses:
                self._address_deadline = self._loop.call_later(share, self._on_address_deadline)
            return
        raise failure

    def _connect(self, address: IPAddress) -> None:
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._connection = Connection(self._loop, origin_of(self._target), sock, self._on_connected)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _raise_unless_connected(sock.connect_ex((str(address), self._target.port)))
        self._connection.wait_for(WRITABLE)

    def _on_address_deadline(self) -> None:
        self._attempt(lambda: self._connect_failed(TimeoutError()))

    def _connect_failed(self, failure: OSError) -> None:
        self._close()
        self._connect_next(failure)

    def _on_connected(self) -> None:
        self._attempt(self._finish_connect)

    def _finish_connect(self) -> Response | None:
        sock = self._connected().sock
        assert isinstance(sock, socket.socket)
        try:
            _raise_unless_connected(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
        except OSError as error:
            self._connect_failed(error)
            return None
        self._cancel_address_deadline()
        return self._start_tls(sock) if self._target.tls else self._send()

    def _start_tls(self, sock: socket.socket) -> Response | None:
        connection = self._connected()
        session = self._pool.session(connection.origin)
        connection.sock = TlsSocket(sock, self._pool.tls, self._target.host, session)
        connection.on_ready = self._on_handshake
        connection.wait_for(READABLE)
        return self._handshake()

    def _on_handshake(self) -> None:
        self._attempt(self._handshake)

    def _handshake(self) -> Response | None:
        sock = self._connected().sock
        assert isinstance(sock, TlsSocket)
        if not sock.handshake():
            return None
        response = self._send()
        return self._receive() if response is None and sock.has_pending else response

    def _send(self) -> Response | None:
        connection = self._connected()
        try:
            while self._unsent:
                sent = connection.send(self._unsent)
                if sent == 0:
                    connection.on_ready = self._on_writable
                    connection.wait_for(READABLE | WRITABLE)
                    return None
                self._unsent = memoryview(self._unsent)[sent:] if sent < len(self._unsent) else b""
        except OSError as error:
            if self._is_kept:
                raise
            return self._receive_early(error)
        connection.on_ready = self._on_readable
        connection.wait_for(READABLE)
        return None

    def _on_writable(self) -> None:
        self._attempt(self._send_or_receive)

    def _send_or_receive(self) -> Response | None:
        """Receive first: an endpoint may respond before it has read the whole request."""
        response = self._receive()
        return self._send() if response is None else response

    def _receive_early(self, failure: OSError) -> Response | None:
        """Receive a response that the endpoint sent before it stopped reading the request.

        Raises `failure`, the error of the send, if no response has arrived.
        """
        connection = self._connected()
        connection.on_ready = self._on_readable
        connection.wait_for(READABLE)
        with contextlib.suppress(BadResponse, OSError):
            response = self._receive()
            if self._reader.started:
                return response
        raise failure

    def _on_readable(self) -> None:
        self._attempt(self._receive)

    def _receive(self) -> Response | None:
        connection, reader = self._connected(), self._reader
        while not reader.complete:
            data = connection.receive(RECEIVE_BYTES)
            if data is None:
                return None
            reader.feed(data) if data else reader.end()
            if not connection.has_pending:
                break
        return self._finish() if reader.complete else None

    def _finish(self) -> Response:
        connection, reader = self._connected(), self._reader
        if not self._is_kept:
            self._pool.remember_session(connection)
        if reader.reusable and not self._unsent and not connection.has_pending:
            self._connection = None
            self._pool.keep(connection)
        return reader.response()

    def _attempt(self, step: Callable[[], Response | None]) -> None:
        """Run a step and end the exchange with its response or error.

        If a kept connection fails before its first byte of response, replace the connection instead.
        """
        try:
            response = step()
        except (AddressRefused, BadResponse, OSError) as error:
            if self._is_kept and not self._reader.started:
                self._replace_kept()
            else:
                self._fail(error)
            return
        if response is not None:
            self._end(response)

    def _replace_kept(self) -> None:
        """Restart on a new connection; most likely the endpoint had closed the kept one."""
        self._close()
        self._is_kept = False
        self._unsent = self._request
        self._reader = ResponseReader()
        self._resolve()

    def _on_deadline(self) -> None:
        if self._connection is None:
            host = self._target.host
            self._fail(NameNotResolved(f"{host} cannot be resolved: no response before the deadline"))
        else:
            self._fail(TimeoutError())

    def _fail(self, error: Exception) -> None:
        self._pool.forget_session(origin_of(self._target))
        self._end(_as_transport_error(error))

    def _end(self, result: Result) -> None:
        self._release()
        on_result, self._on_result = self._on_result, None
        if on_result is not None:
            on_result(self, result)

    def _release(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        if self._query is not None:
            self._query.cancel()
        self._reader.close()
        self._close()

    def _close(self) -> None:
        self._cancel_address_deadline()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _cancel_address_deadline(self) -> None:
        if self._address_deadline is not None:
            self._address_deadline.cancel()
            self._address_deadline = None

    def _connected(self) -> Connection:
        assert self._connection is not None
        return self._connection


def _raise_unless_connected(error: int) -> None:
    """Raise the OSError of an errno, unless the connection is established or under way."""
    if error not in (0, errno.EINPROGRESS):
        raise OSError(error, os.strerror(error))


def _as_transport_error(error: Exception) -> TransportError:
    """Map an exception to a kind of TransportError; its message becomes the detail."""
    detail = str(error) or type(error).__name__
    if isinstance(error, AddressRefused):
        return TransportError("address_refused", detail)
    if isinstance(error, NameNotResolved):
        return TransportError("name_not_resolved", detail)
    if isinstance(error, BadResponse):
        return TransportError("bad_response", detail)
    if isinstance(error, TimeoutError):
        return TransportError("timeout", "no response before the deadline")
    if isinstance(error, SSLError):
        return TransportError("tls", detail)
    return TransportError("connection", detail)
