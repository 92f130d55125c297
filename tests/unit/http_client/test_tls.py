"""TLS, with a certificate authority of the tests' own."""

import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hookfarm.http_client.connections import TlsSocket, tls_context
from hookfarm.http_client.outcome import Response, Result, TransportError
from hookfarm.http_client.transport import Interrupted
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
from tests.unit.http_client.posting import OK, FixedResolver, request_to, transporting

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
    with transporting(FixedResolver("127.0.0.1"), ca_file) as transport:

        def post(port: int, host: str = "receiver.test", timeout: float = 5.0, body: bytes = b"{}") -> Result:
            target = parse(f"https://{host}:{port}/hook", LOOPBACK)
            return transport.post(target, request_to(target, body), timeout, is_cancelled)[0]

        yield post


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
        assert post(receiver.port, timeout=1.5) == TransportError("timeout", "no response before the deadline")
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
        assert result == TransportError("timeout", "no response before the deadline")
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


CLOSING = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


def limited_to(version: ssl.TLSVersion) -> ssl.SSLContext:
    context = serving("good")
    context.minimum_version = context.maximum_version = version
    return context


@pytest.mark.parametrize("version", VERSIONS)
def test_the_next_connection_resumes_the_session_of_the_last(version: ssl.TLSVersion) -> None:
    resumed: list[bool] = []

    def script(connection: socket.socket, _: int) -> None:
        assert isinstance(connection, ssl.SSLSocket)
        read_request(connection)
        resumed.append(bool(connection.session_reused))
        connection.sendall(CLOSING)

    with peer(script, limited_to(version)) as server, posting() as post:
        for _ in range(3):
            assert post(server.port) == Response(200)
        assert resumed == [False, True, True]


def test_a_session_is_resumed_with_its_own_host_only() -> None:
    resumed: list[bool] = []

    def script(connection: socket.socket, _: int) -> None:
        assert isinstance(connection, ssl.SSLSocket)
        read_request(connection)
        resumed.append(bool(connection.session_reused))
        connection.sendall(CLOSING)

    with peer(script, serving("good")) as server, posting() as post:
        assert post(server.port, "receiver.test") == Response(200)
        assert post(server.port, "127.0.0.1") == Response(200)
        assert_refused(post(server.port, "other.test"), "Hostname mismatch", "hostname mismatch")
        assert resumed == [False, False]


def test_after_a_failure_no_session_is_resumed() -> None:
    """It may be the cause: servers exist that fail to resume."""
    resumed: list[bool] = []

    def script(connection: socket.socket, number: int) -> None:
        assert isinstance(connection, ssl.SSLSocket)
        read_request(connection)
        resumed.append(bool(connection.session_reused))
        if number != 2:
            connection.sendall(CLOSING)

    with peer(script, serving("good")) as server, posting() as post:
        assert [post(server.port).status for _ in range(3)] == [200, None, 200]
        assert resumed == [False, True, False]


class SecretWriter:
    """The server's side of TLS, with nothing sent but what `take` returns."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    def handshake(self, connection: socket.socket) -> None:
        """Read until it is complete; the last messages stay to be taken."""
        while True:
            try:
                return self._tls.do_handshake()
            except ssl.SSLWantReadError:
                connection.sendall(self.take())
                received = connection.recv(65536)
                if not received:
                    raise ConnectionError("the client closed") from None
                self._incoming.write(received)

    def write(self, data: bytes) -> None:
        self._tls.write(data)

    def take(self) -> bytes:
        return self._outgoing.read()


def test_a_response_that_arrives_with_the_end_of_the_handshake_is_read() -> None:
    def hasty(connection: socket.socket, _: int) -> None:
        writer = SecretWriter(limited_to(ssl.TLSVersion.TLSv1_2))
        writer.handshake(connection)
        writer.write(OK)
        connection.sendall(writer.take())
        wait_for_close(connection)

    with peer(hasty) as server, posting() as post:
        assert post(server.port, timeout=30) == Response(200, None, b"ok")


def test_a_response_in_several_records_that_arrive_at_once_is_read() -> None:
    def script(connection: socket.socket, _: int) -> None:
        writer = SecretWriter(serving("good"))
        writer.handshake(connection)
        for byte in OK:
            writer.write(bytes([byte]))
        connection.sendall(writer.take())
        wait_for_close(connection)

    with peer(script) as server, posting() as post:
        assert post(server.port, timeout=30) == Response(200, None, b"ok")


def test_a_response_whose_record_arrives_in_pieces_is_read() -> None:
    def script(connection: socket.socket, _: int) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        writer = SecretWriter(serving("good"))
        writer.handshake(connection)
        writer.write(OK)
        for byte in writer.take():
            connection.sendall(bytes([byte]))
        wait_for_close(connection)

    with peer(script) as server, posting() as post:
        assert post(server.port, timeout=30) == Response(200, None, b"ok")


def test_a_connection_with_more_records_than_the_response_is_not_kept() -> None:
    def script(connection: socket.socket, _: int) -> None:
        writer = SecretWriter(serving("good"))
        writer.handshake(connection)
        writer.write(OK)
        writer.write(b"HTTP/1.1 500 Unasked\r\ncontent-length: 0\r\n\r\n")
        connection.sendall(writer.take())
        wait_for_close(connection)

    with peer(script) as server, posting() as post:
        for _ in range(2):
            assert post(server.port, timeout=30) == Response(200, None, b"ok")
        assert server.connections == 2


def test_a_large_request_arrives_whole(receiver: Receiver) -> None:
    body = bytes(range(256)) * 20_000
    with posting() as post:
        for _ in range(2):
            assert post(receiver.port, timeout=30, body=body) == Response(200, None, b"ok")
    assert [request.body == body for request in receiver.received] == [True, True]
    assert receiver.connections == 1


def test_a_response_to_a_request_that_was_not_read_whole_counts_inside_tls() -> None:
    def refuse(connection: socket.socket, _: int) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # The reset drops what waits to be sent.
        connection.recv(1)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n")

    with peer(refuse, serving("good")) as server, posting() as post:
        for _ in range(5):
            assert post(server.port, timeout=30, body=b"x" * 8_000_000) == Response(413)


def with_tickets(count: int) -> ssl.SSLContext:
    context = limited_to(ssl.TLSVersion.TLSv1_3)
    context.num_tickets = count
    return context


def test_tickets_without_end_are_an_error() -> None:
    def script(connection: socket.socket, _: int) -> None:
        read_request(connection)
        connection.sendall(OK)

    with peer(script, with_tickets(5_000)) as hostile, posting() as post:
        assert_refused(post(hostile.port, timeout=30), "bytes without data")


def test_a_step_ends_though_more_tickets_have_arrived() -> None:
    """One endpoint must not hold the loop for as long as it sends."""
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        tls = TlsSocket(near, tls_context(AUTHORITY), "receiver.test", None)
        writer = SecretWriter(with_tickets(300))
        server = threading.Thread(target=writer.handshake, args=(far,))
        server.start()
        while not tls.handshake():
            select.select([near], [], [])
        tls.send(b"x")
        server.join()
        far.sendall(writer.take())
        with pytest.raises(BlockingIOError):
            tls.recv(1)
        assert select.select([near], [], [], 0)[0] == [near]
