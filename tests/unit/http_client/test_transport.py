"""Attempts against receivers that do not behave, over real sockets."""

import gc
import os
import resource
import socket
import struct
import threading
import time
from collections.abc import Callable

import pytest

from hookfarm.http_client.outcome import Response, TransportError
from hookfarm.http_client.transport import Interrupted, Transport
from tests.support.receivers import Peer, Reply, peer, read_request, running_receiver, wait_for_close
from tests.support.waiting import eventually
from tests.unit.http_client.posting import GENEROUS, OK, SHORT, answering, full_listener, post

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


def for_ever(head: bytes, piece: bytes, pause: float = 0.0) -> Callable[[socket.socket, int], None]:
    """Answers with the head and then the piece again and again, until the client goes away."""

    def script(connection: socket.socket, _: int) -> None:
        read_request(connection)
        connection.sendall(head)
        gone = threading.Event()
        while True:
            connection.sendall(piece)
            gone.wait(pause)

    return script


def wait_until_closed(server: Peer) -> None:
    eventually(lambda: server.live_connections == 0, what="the connection being closed")


def silent(connection: socket.socket, _: int) -> None:
    wait_for_close(connection)


def test_a_reply_is_returned_with_its_connection_kept(transport: Transport) -> None:
    with running_receiver() as receiver:
        receiver.reply_with(Reply(201, body=b"made"), Reply(500, body=b"oops"), 204)
        for expected in (Response(201, None, b"made"), Response(500, None, b"oops"), Response(204)):
            assert post(transport, receiver.url) == expected
        assert [r.connection for r in receiver.received] == [1, 1, 1]


def test_a_redirect_is_not_followed(transport: Transport) -> None:
    with running_receiver() as elsewhere, running_receiver() as receiver:
        for status in (301, 302, 303, 307, 308):
            receiver.reply_with(Reply(status, (("location", elsewhere.url),)))
            result = post(transport, receiver.url)
            assert isinstance(result, Response)
            assert result.status == status
        assert elsewhere.connections == 0


@pytest.mark.parametrize(
    "script",
    [
        silent,
        for_ever(b"", b"H", pause=0.05),
        for_ever(OK[:20], b"x", pause=0.05),
        for_ever(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n", b"x", pause=0.05),
        for_ever(b"HTTP/1.1 200 OK\r\n\r\n", b"x", pause=0.05),
        for_ever(CHUNKED, b"1\r\nx\r\n", pause=0.05),
        for_ever(b"", b"HTTP/1.1 100 Continue\r\n\r\n", pause=0.15),
    ],
    ids=[
        "never answers",
        "one byte at a time",
        "slow headers",
        "slow body",
        "no length",
        "slow chunks",
        "interim",
    ],
)
def test_an_attempt_ends_by_its_deadline(
    transport: Transport, script: Callable[[socket.socket, int], None]
) -> None:
    with peer(script) as hostile:
        began = time.monotonic()
        result = post(transport, hostile.url, SHORT)
        assert time.monotonic() - began < SHORT + GENEROUS
        assert isinstance(result, TransportError)
        assert result.kind in ("timeout", "bad_response")


def test_an_attempt_to_send_what_nobody_reads_ends_by_its_deadline(transport: Transport) -> None:
    never = threading.Event()

    def reads_nothing(_connection: socket.socket, _: int) -> None:
        never.wait(40)

    with peer(reads_nothing) as hostile:
        began = time.monotonic()
        assert post(transport, hostile.url, SHORT, body=b"x" * 8_000_000) == TransportError(
            "timeout", "no response before the deadline"
        )
        assert time.monotonic() - began < SHORT + GENEROUS
        never.set()


@pytest.mark.parametrize(
    "script",
    [
        for_ever(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536),
        for_ever(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n", b"x" * 65536),
        for_ever(CHUNKED, b"10000\r\n" + b"x" * 65536 + b"\r\n"),
        for_ever(CHUNKED + b"40000000\r\n", b"x" * 65536),
    ],
    ids=["endless", "a terabyte", "endless chunks", "a chunk of a gigabyte"],
)
def test_of_an_endless_body_only_the_beginning_is_read(
    transport: Transport, script: Callable[[socket.socket, int], None]
) -> None:
    with peer(script) as hostile:
        assert post(transport, hostile.url) == Response(200, None, b"x" * 8192)
        wait_until_closed(hostile)


HOSTILE = {
    "too many headers": answering(b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 101 + b"content-length: 0\r\n\r\n"),
    "too long headers": answering(b"HTTP/1.1 200 OK\r\na: " + b"b" * 16384 + b"\r\n\r\n"),
    "a million headers": for_ever(b"HTTP/1.1 200 OK\r\n", b"a: b\r\n" * 1000),
    "an endless header": for_ever(b"HTTP/1.1 200 OK\r\na: ", b"b" * 65536),
    "endless trailers": for_ever(CHUNKED + b"0\r\na: ", b"b" * 65536),
    "an endless chunk extension": for_ever(CHUNKED + b"1;a=", b"b" * 65536),
    "endless interim replies": for_ever(b"", b"HTTP/1.1 102 Processing\r\n\r\n" * 100),
    "switching protocols": answering(b"HTTP/1.1 101 X\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"),
    "garbage": answering(b"\x16\x03\x01\x00\x05hello"),
    "endless garbage": for_ever(b"", b"\x00" * 65536),
    "bad chunk size": answering(CHUNKED + b"zz\r\n"),
    "cut in the headers": answering(b"HTTP/1.1 200 OK\r\ncontent-le"),
    "cut in the body": answering(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc"),
    "cut in a chunk": answering(CHUNKED + b"5\r\nab"),
    "nothing at all": answering(),
}


@pytest.mark.parametrize("script", HOSTILE.values(), ids=HOSTILE)
def test_what_is_no_reply_is_an_error_and_its_connection_closed(
    transport: Transport, script: Callable[[socket.socket, int], None]
) -> None:
    with peer(script) as hostile:
        result = post(transport, hostile.url)
        assert isinstance(result, TransportError)
        assert result.kind == "bad_response"
        assert result.detail
        wait_until_closed(hostile)
        assert hostile.connections == 1


def test_a_reset_is_a_connection_error(transport: Transport) -> None:
    def reset(connection: socket.socket, _: int) -> None:
        read_request(connection)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with peer(reset) as hostile:
        result = post(transport, hostile.url)
        assert isinstance(result, TransportError)
        assert result.kind == "connection"
        assert hostile.connections == 1


def test_a_refused_connection_is_a_connection_error(transport: Transport) -> None:
    with peer(silent) as gone:
        url = gone.url
    result = post(transport, url)
    assert isinstance(result, TransportError)
    assert result.kind == "connection"
    assert "refused" in result.detail.lower()


def test_a_connection_that_is_not_accepted_times_out(transport: Transport) -> None:
    with full_listener() as port:
        began = time.monotonic()
        result = post(transport, f"http://127.0.0.1:{port}/", SHORT)
        assert result == TransportError("timeout", "no response before the deadline")
        assert time.monotonic() - began < SHORT + GENEROUS


def test_what_comes_before_the_body_is_sent_counts_only_if_it_is_whole(transport: Transport) -> None:
    """An early answer to a request that is still on its way."""

    def early(connection: socket.socket, _: int) -> None:
        connection.recv(1)
        connection.sendall(OK)
        wait_for_close(connection)

    with peer(early) as hasty:
        assert post(transport, hasty.url, body=b"x" * 1_000_000) == Response(200, None, b"ok")


@pytest.mark.parametrize("script", [silent, for_ever(b"HTTP/1.1 200 OK\r\n\r\n", b"x", pause=0.05)])
def test_a_caller_that_gives_up_is_not_kept_waiting(
    transport: Transport, script: Callable[[socket.socket, int], None]
) -> None:
    stopped = threading.Event()
    with peer(script) as hostile:
        timer = threading.Timer(0.1, stopped.set)
        timer.start()
        with pytest.raises(Interrupted):
            post(transport, hostile.url, 30, is_cancelled=stopped.is_set)
        timer.join()
        wait_until_closed(hostile)


def test_neither_descriptors_nor_memory_leak_over_many_attempts(transport: Transport) -> None:
    with peer(silent) as gone:
        refused = gone.url
    scripts = [
        HOSTILE["a million headers"],
        HOSTILE["cut in the body"],
        for_ever(CHUNKED, b"1000\r\n" + b"x" * 4096),
    ]
    peers = [Peer(script) for script in scripts]
    try:
        post(transport, refused)
        gc.collect()
        before, memory = len(os.listdir("/proc/self/fd")), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(60):
            post(transport, refused)
            for each in peers:
                post(transport, each.url)
        for each in peers:
            wait_until_closed(each)
        assert len(os.listdir("/proc/self/fd")) <= before
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 20 * 1024
    finally:
        for each in peers:
            each.close()
