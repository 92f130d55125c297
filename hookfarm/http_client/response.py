"""Strict parser of one HTTP response, with limits on headers, interim responses and bytes."""

import httptools

from hookfarm.http_client.outcome import Response

MAX_BODY_BYTES = 8 * 1024
MAX_HEADERS = 100
MAX_HEADER_BYTES = 16 * 1024
MAX_INTERIM = 5
MAX_REPLY_BYTES = 96 * 1024
"""Maximum bytes read of a response: headers, and a body in chunks of one byte."""

_CLOSED = httptools.HttpResponseParser(None)


class BadResponse(Exception):
    """The data is not HTTP, or exceeds a limit."""


class ResponseReader:
    """Reader of one response, fed with data as it arrives.

    `complete` is set at the end of the response or after MAX_BODY_BYTES of the body. `reusable` is set if the
    connection can be kept; a connection with an unread rest of a body can't.
    """

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._received = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._interim = 0
        self._past_headers = 0
        """Number of headers that belong to interim responses."""
        self._retry_after: str | None = None
        self._body = b""
        self._status = 0
        self._framed = False
        self.complete = False
        self.reusable = False

    def feed(self, data: bytes) -> None:
        """Parse data. Raises BadResponse if it is not HTTP or exceeds a limit."""
        is_first = not self._received
        self._received += len(data)
        if is_first and not data.startswith(b"HTTP/"[: len(data)]):
            raise BadResponse("not HTTP")
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as error:
            raise BadResponse("switched protocols") from error
        except httptools.HttpParserError as error:
            if not self.complete:
                cause = error.__context__
                raise BadResponse(str(cause if isinstance(cause, BadResponse) else error)) from error
            self.reusable = False  # The response is complete and valid, the data after it is not HTTP.
        self._check_size()

    def _check_size(self) -> None:
        if not self._status and self._received > MAX_HEADER_BYTES:
            self._check_headers()
            raise BadResponse(f"headers exceed {MAX_HEADER_BYTES} bytes")
        if not self.complete and self._received > MAX_REPLY_BYTES:
            raise BadResponse(f"exceeds {MAX_REPLY_BYTES} bytes")

    def end(self) -> None:
        """End the response after the endpoint has closed. Raises BadResponse if it is not complete."""
        if not self._status:
            raise BadResponse("closed without a response" if not self._received else "cut off in the headers")
        if not self.complete and self._framed:
            raise BadResponse("cut off in the body")
        self.complete = True

    def close(self) -> None:
        """Drop the parser to break its reference cycle with the reader.

        Otherwise garbage collection takes a tenth of the time of a request.
        """
        self._parser = _CLOSED

    @property
    def started(self) -> bool:
        """Whether the first byte of the response has arrived."""
        return self._received > 0

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """Headers of the final response."""
        return self._headers[self._past_headers :]

    def response(self) -> Response:
        return Response(self._status, self._retry_after, self._body)

    # Callbacks of httptools

    def on_message_begin(self) -> None:
        """Refuse a second final response; the first one remains valid."""
        if self.complete:
            self.reusable = False
            raise BadResponse("more than one response")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._check_headers()
        status = self._parser.get_status_code()
        if status >= 200:
            self._status = status
            self._read_headers()
            return
        self._interim += 1
        self._past_headers = len(self._headers)
        if self._interim > MAX_INTERIM or status == 101:
            raise BadResponse("too many interim responses" if status != 101 else "switched protocols")

    def _check_headers(self) -> None:
        """Check number and size of all headers, those of interim responses included."""
        if len(self._headers) > MAX_HEADERS:
            raise BadResponse(f"more than {MAX_HEADERS} headers")
        if self._received > MAX_HEADER_BYTES:
            size = sum(len(name) + len(value) + len(": \r\n") for name, value in self._headers)
            if size > MAX_HEADER_BYTES:
                raise BadResponse(f"headers exceed {MAX_HEADER_BYTES} bytes")

    def _read_headers(self) -> None:
        for name, value in self._headers[self._past_headers :]:
            lowered = name.lower()
            if lowered == b"retry-after":
                self._retry_after = value.decode("latin-1")
            elif lowered == b"content-length" or lowered == b"transfer-encoding":
                self._framed = True

    def on_body(self, data: bytes) -> None:
        self._body += data[: MAX_BODY_BYTES - len(self._body)]
        if len(self._body) >= MAX_BODY_BYTES:
            self.complete = True

    def on_message_complete(self) -> None:
        if self._status:
            # `complete` is already set if the body was cut at MAX_BODY_BYTES: the connection can't be kept.
            self.reusable = not self.complete and self._parser.should_keep_alive()
            self.complete = True
