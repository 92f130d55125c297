"""Connections to endpoints: urllib3's (sockets, TLS, certificates), kept alive and bounded in number."""

import ssl
import time
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util.ssl_ import create_urllib3_context

from hookfarm.address_guard import IPNetwork, Target, resolve
from hookfarm.webhook_delivery.deadline import Deadline

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


class Connections:
    """One worker's connections. `get` one, and then either `keep` it or `close` it."""

    def __init__(self, tls: ssl.SSLContext, allowed: Sequence[IPNetwork]) -> None:
        self._tls = tls
        self._allowed = allowed
        self._idle: OrderedDict[Key, tuple[float, HTTPConnection]] = OrderedDict()

    def get_idle(self, target: Target) -> HTTPConnection | None:
        """A connection kept from an earlier job, if the endpoint has not closed it meanwhile."""
        since, connection = self._idle.pop(_key(target), (0.0, None))
        if connection is None:
            return None
        if time.monotonic() - since > MAX_IDLE_SECONDS or not connection.is_connected:
            connection.close()
            return None
        return connection

    def open(self, target: Target, deadline: Deadline) -> HTTPConnection:
        """A new connection to an address that was just resolved and checked, and to no other."""
        address = str(resolve(target, self._allowed))
        connection: HTTPConnection
        if target.tls:
            connection = HTTPSConnection(
                address,
                target.port,
                timeout=deadline.remaining(),
                ssl_context=self._tls,
                server_hostname=target.host,
            )
        else:
            connection = HTTPConnection(address, target.port, timeout=deadline.remaining())
        try:
            connection.connect()
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


def _key(target: Target) -> Key:
    return (target.scheme, target.host, target.port)
