"""TLS, with a certificate authority of the tests' own."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path

import pytest

from hookfarm.http_client.connections import ConnectionPool, tls_context
from hookfarm.http_client.deadline import Interrupted
from hookfarm.http_client.outcome import Response, Result, TransportError
from hookfarm.http_client.transport import Transport
from hookfarm.security.ssrf import parse
from tests.support.delivery import LOOPBACK
from tests.support.receivers import (
    Receiver,
    Reply,
    peer,
    read_request,
    require_ipv6,
    running_receiver,
    wait_for_close,
)

CERTIFICATES = Path(__file__).parent / "certificates"
"""An authority and what it signed: valid for receiver.test, 127.0.0.1 and ::1; for other.test; expired in 2021."""
AUTHORITY = CERTIFICATES / "ca.pem"
SOON_SECONDS = 20.0
"""For what has a deadline of a second or so; without one it would take as long as the peer, 20 s."""


def serving(certificate: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATES / f"{certificate}.pem")
    return context


@contextmanager
def posting(
    ca_file: Path | None = AUTHORITY, is_cancelled: Callable[[], bool] = lambda: False
) -> Iterator[Callable[..., Result]]:
    """`post(port, host="receiver.test", timeout=5.0, body=b"{}")`, every name being on loopback."""
    loopback = [ip_address("127.0.0.1")]
    transport = Transport(ConnectionPool(tls_context(ca_file), LOOPBACK, lambda _: loopback), is_cancelled)

    def post(port: int, host: str = "receiver.test", timeout: float = 5.0, body: bytes = b"{}") -> Result:
        target = parse(f"https://{host}:{port}/hook", LOOPBACK)
        head = f"POST /hook HTTP/1.1\r\nhost: {target.authority}\r\ncontent-length: {len(body)}\r\n\r\n"
        return transport.post(target, head.encode() + body, timeout)

    try:
        yield post
    finally:
        transport.close()


def assert_refused(result: Result, *words: str) -> None:
    assert isinstance(result, TransportError)
    assert result.kind == "tls"
    assert any(word in result.detail for word in words), result.detail


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running_receiver(serving("good")) as running:
        yield running


@pytest.mark.parametrize("host", ["receiver.test", "127.0.0.1"])
def test_a_good_certificate_is_accepted_and_the_connection_kept(receiver: Receiver, host: str) -> None:
    receiver.default = Reply(body=b"x" * 5000)
    with posting() as post:
        for _ in range(3):
            assert post(receiver.port, host) == Response(200, None, b"x" * 5000)
    assert [r.connection for r in receiver.received] == [1, 1, 1]


def test_an_ipv6_address_is_verified_like_a_name() -> None:
    require_ipv6()
    with running_receiver(serving("good"), host="::1") as receiver, posting() as post:
        assert isinstance(post(receiver.port, "[::1]"), Response)


def test_a_certificate_for_another_name_is_refused() -> None:
    with running_receiver(serving("wrong_host")) as receiver, posting() as post:
        assert_refused(post(receiver.port), "Hostname mismatch", "hostname mismatch")
        assert_refused(post(receiver.port, "127.0.0.1"), "IP address mismatch")
        assert receiver.received == []


def test_an_expired_certificate_is_refused() -> None:
    with running_receiver(serving("expired")) as receiver, posting() as post:
        assert_refused(post(receiver.port), "expired")
        assert receiver.received == []


def test_an_unknown_authority_is_refused(receiver: Receiver) -> None:
    with posting(ca_file=None) as post:
        assert_refused(post(receiver.port), "unable to get", "self-signed", "self signed")
    assert receiver.received == []


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_anything_older_than_tls_1_2_is_refused() -> None:
    old = serving("good")
    old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with running_receiver(old) as receiver, posting() as post:
        assert_refused(post(receiver.port), "version", "alert", "protocol", "internal error")
        assert receiver.received == []


def test_tls_1_2_is_enough() -> None:
    context = serving("good")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with running_receiver(context) as receiver, posting() as post:
        assert isinstance(post(receiver.port), Response)


def test_a_receiver_without_tls_is_refused() -> None:
    with running_receiver() as receiver, posting() as post:
        result = post(receiver.port, timeout=0.5)
        assert isinstance(result, TransportError)
        assert result.kind in ("tls", "timeout")


def drips(connection: socket.socket, _: int) -> None:
    """A record of 16 kB that arrives a byte at a time, each within any time-out of its own."""
    never = threading.Event()
    connection.sendall(b"\x16\x03\x03\x40\x00")
    while True:
        connection.sendall(b"\x00")
        never.wait(0.05)


def stalls(connection: socket.socket, _: int) -> None:
    wait_for_close(connection)


@pytest.mark.parametrize("script", [stalls, drips])
def test_a_handshake_that_stalls_ends_by_the_deadline(script: Callable[[socket.socket, int], None]) -> None:
    with peer(script) as hostile, posting() as post:
        began = time.monotonic()
        result = post(hostile.port, timeout=0.4)
        assert time.monotonic() - began < SOON_SECONDS
        assert isinstance(result, TransportError)
        assert result.kind in ("timeout", "tls")


def test_a_handshake_longer_than_one_wait_is_finished() -> None:
    context = serving("good")
    delay = threading.Event()

    def slow(connection: socket.socket, _: int) -> None:
        delay.wait(0.6)
        with context.wrap_socket(connection, server_side=True) as secured:
            read_request(secured)
            secured.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

    with peer(slow) as server, posting() as post:
        assert post(server.port) == Response(200)


def test_a_reply_slower_than_one_wait_is_read_and_its_connection_kept(receiver: Receiver) -> None:
    gates = [threading.Event() for _ in range(2)]
    receiver.reply_with(*(Reply(after=gate) for gate in gates))
    with posting() as post:
        for gate in gates:
            timer = threading.Timer(0.6, gate.set)
            timer.start()
            assert post(receiver.port) == Response(200, None, b"ok")
            timer.join()
    assert receiver.connections == 1


def test_a_receiver_that_never_answers_inside_tls_is_left_at_the_deadline(receiver: Receiver) -> None:
    gate = threading.Event()
    receiver.reply_with(Reply(after=gate))
    with posting() as post:
        began = time.monotonic()
        assert post(receiver.port, timeout=1.5) == TransportError("timeout", "no reply before the deadline")
        assert time.monotonic() - began < SOON_SECONDS
    gate.set()


def test_a_request_that_nobody_reads_inside_tls_is_left_at_the_deadline() -> None:
    context = serving("good")
    never = threading.Event()

    def reads_nothing(connection: socket.socket, _: int) -> None:
        with context.wrap_socket(connection, server_side=True):
            never.wait(40)

    with peer(reads_nothing) as hostile, posting() as post:
        began = time.monotonic()
        result = post(hostile.port, timeout=1.5, body=b"x" * 8_000_000)
        never.set()
        assert result == TransportError("timeout", "no reply before the deadline")
        assert time.monotonic() - began < SOON_SECONDS


def test_a_worker_that_is_stopped_to_is_cancelled_leaves_the_handshake() -> None:
    stopped = threading.Event()
    with peer(stalls) as hostile, posting(is_cancelled=stopped.is_set) as post:
        timer = threading.Timer(0.1, stopped.set)
        timer.start()
        with pytest.raises(Interrupted):
            post(hostile.port, timeout=30)
        timer.join()


def test_a_connection_cut_inside_tls_is_an_error() -> None:
    context = serving("good")

    def cut(connection: socket.socket, _: int) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            read_request(secured)
            secured.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc")
            secured.shutdown(socket.SHUT_RDWR)

    with peer(cut) as hostile, posting() as post:
        result = post(hostile.port)
        assert isinstance(result, TransportError)
        assert result.kind in ("tls", "bad_response")
