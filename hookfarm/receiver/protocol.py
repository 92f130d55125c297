"""HTTP/1.1 for a receiver: one keep-alive connection from a sender.

A webhook costs some 60 µs of CPU, so one process keeps up with fifty workers. Invalid HTTP, too many headers and
too large bodies get an error response, and the connection is closed. Methods other than POST get 405.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

import httptools

MAX_BODY_BYTES = 8 * 1024 * 1024
MAX_HEADERS = 200
MAX_HEADER_BYTES = 64 * 1024
_WEBHOOK_HEADERS = frozenset((b"webhook-id", b"webhook-timestamp", b"webhook-signature", b"webhook-attempt"))
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass(frozen=True, slots=True)
class WebhookRequest:
    """A POST request: its webhook headers, names in lower case, and its body."""

    headers: dict[bytes, bytes]
    body: bytes


def response(status: int) -> bytes:
    """Return the bytes of a response without a body."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Status"
    allow = "Allow: POST\r\n" if status == HTTPStatus.METHOD_NOT_ALLOWED else ""
    length = "" if status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED) else "Content-Length: 0\r\n"
    return f"HTTP/1.1 {status} {phrase}\r\n{allow}{length}\r\n".encode()


class _Refused(Exception):
    """The request is refused and the connection must be closed; `args[0]` is the response's status."""


class ReceiverProtocol(asyncio.Protocol):
    """One connection: calls `answer` with each request and responds with its status.

    `connections` contains it while it is open.
    """

    def __init__(self, answer: Callable[[WebhookRequest], int], connections: "set[ReceiverProtocol]") -> None:
        self._answer = answer
        self._connections = connections
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._begin()

    def close(self) -> None:
        """Close the connection at once, after the earlier responses."""
        if self._transport is not None:
            self._transport.abort()

    # asyncio calls these.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._connections.add(self)

    def connection_lost(self, _error: Exception | None) -> None:
        self._connections.discard(self)
        self._transport = None

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._hang_up(HTTPStatus.NOT_IMPLEMENTED)
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            if not isinstance(cause, _Refused):
                self._hang_up(HTTPStatus.INTERNAL_SERVER_ERROR)
                raise
            self._hang_up(cause.args[0])
        except httptools.HttpParserError:
            self._hang_up(HTTPStatus.BAD_REQUEST)

    # httptools calls these.

    def on_message_begin(self) -> None:
        self._begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_count += 1
        self._header_bytes += len(name) + len(value)
        if self._header_count > MAX_HEADERS or self._header_bytes > MAX_HEADER_BYTES:
            raise _Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        name = name.lower()
        if name in _WEBHOOK_HEADERS:
            self._headers[name] = value
        elif name == b"expect" and value.lower() == b"100-continue":
            self._expects = True

    def on_headers_complete(self) -> None:
        if self._expects:
            self._write(_CONTINUE)

    def on_body(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > MAX_BODY_BYTES:
            raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        self._body.append(data)

    def on_message_complete(self) -> None:
        status: int = HTTPStatus.METHOD_NOT_ALLOWED
        if self._parser.get_method() == b"POST":
            status = self._answer(WebhookRequest(self._headers, b"".join(self._body)))
        self._write(response(status))
        if not self._parser.should_keep_alive() and self._transport is not None:
            self._transport.close()

    def _begin(self) -> None:
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._header_count = self._header_bytes = self._size = 0
        self._expects = False

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _hang_up(self, status: int) -> None:
        self._write(response(status))
        if self._transport is not None:
            self._transport.close()
