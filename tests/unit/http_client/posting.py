"""Posting to receivers on the loopback, as a worker does it."""

import socket
from collections.abc import Callable

from hookfarm.http_client.connections import tls_context
from hookfarm.http_client.outcome import Result
from hookfarm.http_client.transport import Transport
from hookfarm.security.ssrf import Target, parse
from tests.support.delivery import LOOPBACK
from tests.support.receivers import read_request

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
SHORT, GENEROUS = 0.4, 20.0
TLS = tls_context()


def post(transport: Transport, url: str, timeout: float = GENEROUS, body: bytes = b"{}") -> Result:
    target = parse(url, LOOPBACK)
    return transport.post(target, _request(target, body), timeout)


def answering(*pieces: bytes) -> Callable[[socket.socket, int], None]:
    def script(connection: socket.socket, _: int) -> None:
        read_request(connection)
        for piece in pieces:
            connection.sendall(piece)

    return script


def _request(target: Target, body: bytes) -> bytes:
    head = f"POST {target.path} HTTP/1.1\r\nhost: {target.authority}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body
