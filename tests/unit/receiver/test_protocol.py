"""The receiver's HTTP, byte by byte, on a connection that only records."""

import asyncio
import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookfarm.receiver.protocol import (
    MAX_BODY_BYTES,
    MAX_HEADER_BYTES,
    MAX_HEADERS,
    ReceiverProtocol,
    WebhookRequest,
    response,
)


class RecordingTransport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data: Any) -> None:
        assert not self.closed
        self.written += bytes(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True


class Connection:
    """A protocol, what reached its handler, and what it sent."""

    def __init__(self, status: int = 204) -> None:
        self.requests: list[WebhookRequest] = []
        self.open_ones: set[ReceiverProtocol] = set()
        self.transport = RecordingTransport()
        self.protocol = ReceiverProtocol(self._answer(status), self.open_ones)
        self.protocol.connection_made(self.transport)

    def send(self, data: bytes) -> bytes:
        self.protocol.data_received(data)
        return self.transport.written

    def _answer(self, status: int) -> Any:
        def answer(request: WebhookRequest) -> int:
            self.requests.append(request)
            return status

        return answer


def post(body: bytes, *lines: bytes) -> bytes:
    head = [b"POST /any?thing HTTP/1.1", b"Host: x", b"Content-Length: %d" % len(body), *lines]
    return b"\r\n".join([*head, b"", body])


def test_a_post_reaches_the_handler_with_its_webhook_headers_and_body() -> None:
    connection = Connection()
    sent = connection.send(post(b"{}", b"Webhook-ID: msg_1", b"WEBHOOK-attempt: 2", b"x-other: y"))
    assert connection.requests == [WebhookRequest({b"webhook-id": b"msg_1", b"webhook-attempt": b"2"}, b"{}")]
    assert sent == b"HTTP/1.1 204 No Content\r\n\r\n"
    assert not connection.transport.closed


@given(cuts=st.lists(st.integers(0, 400), max_size=20))
def test_it_does_not_matter_how_the_bytes_arrive(cuts: list[int]) -> None:
    stream = b"".join(post(bytes([65 + n]) * 20, b"webhook-id: msg_%d" % n) for n in range(3))
    connection = Connection()
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    for start, end in itertools.pairwise(places):
        connection.send(stream[start:end])
    assert [request.body for request in connection.requests] == [b"A" * 20, b"B" * 20, b"C" * 20]
    assert connection.transport.written == response(204) * 3


def test_a_chunked_body_is_put_together() -> None:
    connection = Connection()
    connection.send(
        b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
    )
    assert [request.body for request in connection.requests] == [b"abc"]


def test_another_method_is_answered_405_and_is_no_webhook() -> None:
    connection = Connection()
    sent = connection.send(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    assert sent == b"HTTP/1.1 405 Method Not Allowed\r\nAllow: POST\r\nContent-Length: 0\r\n\r\n"
    assert connection.requests == []


def test_a_connection_with_close_is_closed_after_its_answer() -> None:
    connection = Connection()
    assert connection.send(post(b"", b"connection: close")) == response(204)
    assert connection.transport.closed


def test_a_sender_that_waits_for_100_continue_gets_it() -> None:
    connection = Connection()
    head, _, body = post(b"{}", b"Expect: 100-continue").partition(b"\r\n\r\n")
    assert connection.send(head + b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert connection.send(body).endswith(response(204))


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\ncontent-length: x\r\n\r\n", 400),
        (post(b"", *(b"x-%d: y" % n for n in range(MAX_HEADERS + 1))), 431),
        (post(b"", *(b"x-%d: %s" % (n, b"y" * 1000) for n in range(MAX_HEADER_BYTES // 1000 + 1))), 431),
        (post(b"x" * (MAX_BODY_BYTES + 1)), 413),
        (b"GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n", 501),
    ],
)
def test_what_is_not_right_is_answered_and_hung_up_on(data: bytes, status: int) -> None:
    connection = Connection()
    sent = connection.send(data)
    assert f"HTTP/1.1 {status} ".encode() in sent
    assert connection.transport.closed
    assert connection.requests == []


def test_a_handler_that_fails_is_a_500_and_the_failure_is_not_hidden() -> None:
    def fail(_request: WebhookRequest) -> int:
        raise OSError("disk full")

    transport = RecordingTransport()
    protocol = ReceiverProtocol(fail, set())
    protocol.connection_made(transport)
    with pytest.raises(Exception, match="callback") as failed:
        protocol.data_received(post(b""))
    assert isinstance(failed.value.__context__, OSError)
    assert transport.written == response(500)
    assert transport.closed


def test_connections_are_known_while_they_last() -> None:
    connection = Connection()
    assert connection.open_ones == {connection.protocol}
    connection.protocol.connection_lost(None)
    assert connection.open_ones == set()


@pytest.mark.parametrize(
    ("status", "line"), [(200, b"200 OK"), (503, b"503 Service Unavailable"), (599, b"599 Status")]
)
def test_an_answer_without_a_body_has_the_right_length_header(status: int, line: bytes) -> None:
    assert response(status) == b"HTTP/1.1 " + line + b"\r\nContent-Length: 0\r\n\r\n"
