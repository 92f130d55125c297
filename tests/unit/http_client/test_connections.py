"""Which connections are opened, kept, replaced and closed, over real sockets."""

import os
import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import ip_network

import pytest

from hookfarm.http_client.outcome import Response, TransportError
from hookfarm.http_client.transport import Transport
from hookfarm.security.ssrf import Target
from tests.support.delivery import LOOPBACK
from tests.support.receivers import Reply, peer, read_request, require_ipv6, running_receiver, wait_for_close
from tests.support.waiting import eventually
from tests.unit.http_client.posting import (
    GENEROUS,
    MAX_IDLE,
    OK,
    SHORT,
    FixedResolver,
    answering,
    post,
    transporting,
)


def test_a_connection_that_the_endpoint_closed_is_replaced(transport: Transport) -> None:
    with running_receiver() as receiver:
        receiver.reply_with(Reply(close=True), 202)
        assert post(transport, receiver.url) == Response(200, None, b"ok")
        eventually(lambda: receiver.live_connections == 0, what="the receiver closing")
        assert post(transport, receiver.url) == Response(202, None, b"ok")
        assert [r.connection for r in receiver.received] == [1, 2]


def closes_on_the_second_request(connection: socket.socket, number: int) -> None:
    """A kept connection that dies just as it is used again: the first, and every one after it."""
    read_request(connection)
    if number == 1:
        connection.sendall(OK)
        read_request(connection)


def test_a_kept_connection_that_dies_in_use_is_replaced_once(transport: Transport) -> None:
    with peer(closes_on_the_second_request) as dying:
        assert post(transport, dying.url) == Response(200, None, b"ok")
        assert isinstance(post(transport, dying.url), TransportError)
        assert dying.connections == 2


def test_once_a_reply_has_begun_nothing_is_sent_again(transport: Transport) -> None:
    def script(connection: socket.socket, _: int) -> None:
        read_request(connection)
        connection.sendall(OK)
        read_request(connection)
        connection.sendall(OK[:10])

    with peer(script) as dying:
        assert post(transport, dying.url) == Response(200, None, b"ok")
        result = post(transport, dying.url)
        assert isinstance(result, TransportError)
        assert result.kind == "bad_response"
        assert dying.connections == 1


def test_garbage_on_a_kept_connection_is_an_answer_and_nothing_is_sent_again(transport: Transport) -> None:
    def script(connection: socket.socket, _: int) -> None:
        read_request(connection)
        connection.sendall(OK)
        read_request(connection)
        connection.sendall(b"garbage")

    with peer(script) as dying:
        assert post(transport, dying.url) == Response(200, None, b"ok")
        assert post(transport, dying.url) == TransportError("bad_response", "not HTTP")
        assert dying.connections == 1


def test_a_second_attempt_on_a_new_connection_has_no_more_time_than_the_first(transport: Transport) -> None:
    def script(connection: socket.socket, number: int) -> None:
        read_request(connection)
        if number == 1:
            connection.sendall(OK)
            read_request(connection)
        else:
            wait_for_close(connection)

    with peer(script) as hostile:
        post(transport, hostile.url)
        began = time.monotonic()
        assert post(transport, hostile.url, SHORT) == TransportError("timeout", "no response before the deadline")
        assert time.monotonic() - began < SHORT + GENEROUS
        assert hostile.connections == 2


def test_bytes_nobody_asked_for_spoil_a_kept_connection(transport: Transport) -> None:
    sent = threading.Event()

    def script(connection: socket.socket, number: int) -> None:
        read_request(connection)
        connection.sendall(OK)
        if number == 1:
            connection.sendall(b"HTTP/1.1 500 Unasked\r\ncontent-length: 0\r\n\r\n")
            sent.set()
        wait_for_close(connection)

    with peer(script) as hostile:
        assert post(transport, hostile.url) == Response(200, None, b"ok")
        assert sent.wait(5)
        assert post(transport, hostile.url) == Response(200, None, b"ok")
        assert hostile.connections == 2


@pytest.mark.parametrize("head", [b"connection: close\r\n", b""])
def test_a_connection_that_cannot_be_used_again_is_closed(transport: Transport, head: bytes) -> None:
    length = b"content-length: 0\r\n" if head else b"content-length: 100000\r\n"
    body = b"" if head else b"x" * 100_000
    with peer(answering(b"HTTP/1.1 200 OK\r\n" + head + length + b"\r\n" + body)) as server:
        post(transport, server.url)
        post(transport, server.url)
        assert server.connections == 2


def test_idle_connections_are_bounded_and_the_longest_idle_goes_first() -> None:
    def keep(connection: socket.socket, _: int) -> None:
        while True:
            read_request(connection)
            connection.sendall(OK)

    with ExitStack() as stack:
        peers = [stack.enter_context(peer(keep)) for _ in range(MAX_IDLE + 2)]
        transport = stack.enter_context(transporting())
        for each in peers:
            post(transport, each.url)
        eventually(lambda: [p.live_connections for p in peers] == [0, 0] + [1] * MAX_IDLE, what="two being closed")
        for each in reversed(peers):
            post(transport, each.url)
        assert [p.connections for p in peers] == [2, 2] + [1] * MAX_IDLE


def test_one_connection_is_shared_by_the_urls_of_a_host_and_by_no_other_port(transport: Transport) -> None:
    with running_receiver() as one, running_receiver() as other:
        post(transport, one.url)
        post(transport, one.url + "/elsewhere?x=1")
        post(transport, other.url)
        assert (one.connections, other.connections) == (1, 1)
        assert [r.path for r in one.received] == ["/hook", "/hook/elsewhere?x=1"]


def test_closing_closes_the_idle_connections() -> None:
    with running_receiver() as receiver:
        with transporting() as transport:
            post(transport, receiver.url)
            assert receiver.live_connections == 1
        eventually(lambda: receiver.live_connections == 0, what="the connection being closed")


@pytest.mark.parametrize("host", ["10.255.255.1", "169.254.169.254", "::ffff:127.0.0.1"])
def test_an_address_that_is_not_allowed_is_not_connected_to(transport: Transport, host: str) -> None:
    result, _ = transport.post(Target("http", host, 80, "/"), b"", GENEROUS, lambda: False)
    assert isinstance(result, TransportError)
    assert result.kind == "address_refused"


def test_the_connection_goes_to_the_address_that_was_checked() -> None:
    with running_receiver() as receiver, transporting(FixedResolver("127.0.0.1")) as transport:
        url = f"http://receiver.test:{receiver.port}/hook"
        assert isinstance(post(transport, url), Response)
        assert receiver.received[0].header("host") == f"receiver.test:{receiver.port}"


def test_a_name_that_also_leads_inside_is_not_connected_to_at_all() -> None:
    resolver = FixedResolver("127.0.0.1", "10.0.0.1")
    with running_receiver() as receiver, transporting(resolver) as transport:
        result = post(transport, f"http://receiver.test:{receiver.port}/")
        assert isinstance(result, TransportError)
        assert result.kind == "address_refused"
        assert "10.0.0.1" in result.detail
        assert receiver.connections == 0


def test_the_next_address_is_tried_where_one_does_not_answer() -> None:
    resolver = FixedResolver("::1", "127.0.0.2", "127.0.0.1")
    with running_receiver() as receiver, transporting(resolver) as transport:
        assert isinstance(post(transport, f"http://receiver.test:{receiver.port}/"), Response)


def test_an_address_that_no_socket_can_be_made_for_does_not_end_the_attempt() -> None:
    """As IPv6 on a system without it; here an address of an interface that does not exist."""
    resolver = FixedResolver("fe80::1%nowhere", "127.0.0.1")
    allowed = (*LOOPBACK, ip_network("fe80::/10"))
    with running_receiver() as receiver, transporting(resolver, allowed=allowed) as transport:
        assert isinstance(post(transport, f"http://receiver.test:{receiver.port}/"), Response)


def test_thousands_of_addresses_that_fail_at_once_are_a_connection_error() -> None:
    broadcast = "127.255.255.255"
    with transporting(FixedResolver(*[broadcast] * 3000)) as transport:
        result = post(transport, "http://receiver.test:8080/")
        assert isinstance(result, TransportError)
        assert result.kind == "connection"


@contextmanager
def no_descriptors_left() -> Iterator[None]:
    """The next descriptor is beyond the limit of this process."""
    next_one = os.dup(0)
    os.close(next_one)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next_one, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_process_without_descriptors_reports_a_connection_error_and_goes_on_later() -> None:
    with running_receiver() as receiver, transporting(FixedResolver("127.0.0.1", "127.0.0.1")) as transport:
        url = f"http://receiver.test:{receiver.port}/"
        with no_descriptors_left():
            result = post(transport, url)
        assert isinstance(result, TransportError)
        assert (result.kind, "open files" in result.detail) == ("connection", True)
        assert isinstance(post(transport, url), Response)


def test_a_name_that_cannot_be_resolved_is_an_error_of_its_own(transport: Transport) -> None:
    result = post(transport, "http://nothing.invalid/")
    assert isinstance(result, TransportError)
    assert result.kind == "name_not_resolved"


def test_an_ipv6_address_is_connected_to(transport: Transport) -> None:
    require_ipv6()
    with running_receiver(host="::1") as receiver:
        assert isinstance(post(transport, receiver.url), Response)
        assert receiver.received[0].header("host") == f"[::1]:{receiver.port}"
