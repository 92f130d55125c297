"""Connections to endpoints: urllib3's (sockets, TLS, certificates), kept alive and bounded in number."""

import contextlib
import errno
import os
import select
import socket
import ssl
import time
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

from urllib3.connection import HTTPConnection
from urllib3.util.ssl_ import create_urllib3_context

from hookfarm.http_client.deadline import SLICE_SECONDS, Deadline
from hookfarm.security.ssrf import IPAddress, IPNetwork, Lookup, Target, lookup, resolve
from hookfarm.socket_timeouts import is_quiet, set_timeout

MAX_IDLE = 8
"""Connections a worker keeps open: 50 workers hold 400 at most."""
MAX_IDLE_SECONDS = 30.0

Key = tuple[str, str, int]


def tls_context(ca_file: Path | None = None) -> ssl.SSLContext:
    """TLS 1.2 or newer, certificates and host names verified against the system's authorities and `ca_file`.

    Made before the fork and inherited: it holds no socket and no connection's secrets.
    """
    context = create_urllib3_context(ssl_minimum_version=ssl.TLSVersion.TLSv1_2, cert_reqs=ssl.CERT_REQUIRED)
    context.check_hostname = True
    context.load_default_certs()
    if ca_file is not None:
        context.load_verify_locations(cafile=str(ca_file))
    return context


class ConnectionPool:
    """One worker's connections. `get` one, and then either `keep` it or `close` it."""

    def __init__(self, tls: ssl.SSLContext, allowed: Sequence[IPNetwork], resolver: Lookup = lookup) -> None:
        self._tls = tls
        self._allowed = allowed
        self._lookup = resolver
        self._idle: OrderedDict[Key, tuple[float, HTTPConnection]] = OrderedDict()

    def get_idle(self, target: Target) -> HTTPConnection | None:
        """A connection kept from an earlier job, if the endpoint has not closed it meanwhile."""
        since, connection = self._idle.pop(_key(target), (0.0, None))
        if connection is None:
            return None
        idle = time.monotonic() - since
        if idle > MAX_IDLE_SECONDS or not is_quiet(connection.sock):
            connection.close()
            return None
        return connection

    def open(self, target: Target, deadline: Deadline) -> HTTPConnection:
        """A new connection to an address that was just resolved and checked, and to no other."""
        addresses = resolve(target, self._allowed, self._lookup)
        connection = HTTPConnection(target.host, target.port)
        connection.sock = _connect_first(addresses, target.port, deadline)
        try:
            if target.tls:
                connection.sock = _start_tls(connection.sock, self._tls, target.host, deadline)
            set_timeout(connection.sock, SLICE_SECONDS)
        except BaseException:
            connection.close()
            raise
        return connection

    def keep(self, target: Target, connection: HTTPConnection) -> None:
        """Keeps it for the next job; the one that was idle for longest goes if there are too many."""
        self._idle[_key(target)] = (time.monotonic(), connection)
        if len(self._idle) > MAX_IDLE:
            _, (_, oldest) = self._idle.popitem(last=False)
            oldest.close()

    def close(self) -> None:
        while self._idle:
            self._idle.popitem()[1][1].close()


def _connect_first(addresses: Sequence[IPAddress], port: int, deadline: Deadline) -> socket.socket:
    """A TCP connection to the first of the addresses that takes it; each has its share of the time left."""
    failure: OSError = OSError("no address")
    for left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
        sock = socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6)
        try:
            _connect(sock, (str(address), port), deadline, deadline.remaining() / left)
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure


def _connect(sock: socket.socket, address: tuple[str, int], deadline: Deadline, seconds: float) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setblocking(False)
    started = sock.connect_ex(address)
    if started not in (0, errno.EINPROGRESS):
        raise OSError(started, os.strerror(started))
    ends = time.monotonic() + seconds
    poll = select.poll()
    poll.register(sock, select.POLLOUT)
    while not poll.poll(deadline.slice() * 1000):
        if time.monotonic() > ends:
            raise TimeoutError
    failed = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if failed:
        raise OSError(failed, os.strerror(failed))


def _start_tls(sock: socket.socket, tls: ssl.SSLContext, host: str, deadline: Deadline) -> ssl.SSLSocket:
    """TLS over `sock`, which belongs to the result from here on, with the certificate checked against `host`."""
    secured = tls.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
    try:
        while True:
            secured.settimeout(deadline.slice())
            with contextlib.suppress(TimeoutError):
                secured.do_handshake()
                return secured
    except BaseException:
        secured.close()
        raise


def _key(target: Target) -> Key:
    return (target.scheme, target.host, target.port)
