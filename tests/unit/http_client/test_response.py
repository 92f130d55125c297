"""Reading replies: what is accepted, what is refused, and where reading ends."""

import gc
from weakref import ref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookfarm.http_client.outcome import Response
from hookfarm.http_client.response import (
    MAX_BODY_BYTES,
    MAX_HEADER_BYTES,
    MAX_HEADERS,
    MAX_INTERIM,
    MAX_REPLY_BYTES,
    BadResponse,
    ResponseReader,
)

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def read(*chunks: bytes, end: bool = False) -> ResponseReader:
    reader = ResponseReader()
    for chunk in chunks:
        if reader.complete:
            break
        reader.feed(chunk)
    if end and not reader.complete:
        reader.end()
    return reader


def endless(head: bytes, piece: bytes) -> ResponseReader:
    """Feeds the head and then the piece for as long as the reader wants more, 2 MB at most."""
    reader = ResponseReader()
    reader.feed(head)
    for _ in range(2 * 1024 * 1024 // len(piece)):
        if reader.complete:
            break
        reader.feed(piece)
    return reader


def test_a_whole_reply_is_complete_and_its_connection_reusable() -> None:
    reader = read(OK)
    assert (reader.complete, reader.reusable) == (True, True)
    assert reader.response() == Response(200, None, b"ok")


@given(st.lists(st.integers(1, len(OK) - 1), unique=True).map(sorted))
def test_a_reply_may_come_in_any_pieces(cuts: list[int]) -> None:
    reader = read(*(OK[a:b] for a, b in zip([0, *cuts], [*cuts, len(OK)], strict=True)))
    assert reader.response() == Response(200, None, b"ok")
    assert reader.reusable


def test_a_chunked_reply_is_put_together() -> None:
    reader = read(
        b"HTTP/1.1 202 Accepted\r\ntransfer-encoding: chunked\r\n\r\n", b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    )
    assert reader.response() == Response(202, None, b"abcde")
    assert reader.reusable


@pytest.mark.parametrize("status", [204, 304])
def test_a_reply_without_a_body_is_complete_with_its_headers(status: int) -> None:
    reader = read(b"HTTP/1.1 %d X\r\n\r\n" % status)
    assert (reader.complete, reader.reusable) == (True, True)


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
    ],
)
def test_a_connection_that_will_be_closed_is_not_reusable(head: bytes) -> None:
    reader = read(head)
    assert (reader.complete, reader.reusable) == (True, False)


def test_a_body_without_a_length_ends_with_the_connection() -> None:
    reader = read(b"HTTP/1.1 200 OK\r\n\r\n", b"until", b" the end", end=True)
    assert reader.response() == Response(200, None, b"until the end")
    assert not reader.reusable


def test_retry_after_is_kept_whatever_its_case() -> None:
    assert read(b"HTTP/1.1 503 X\r\nReTrY-aFtEr: 120\r\ncontent-length: 0\r\n\r\n").response().retry_after == "120"


def test_interim_replies_are_passed_over() -> None:
    interim = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\nretry-after: 9\r\n\r\n"
    reader = read(interim * MAX_INTERIM + OK)
    assert reader.response().status == 200
    assert reader.response().retry_after is None


def test_too_many_interim_replies_are_refused() -> None:
    with pytest.raises(BadResponse, match="interim"):
        read(b"HTTP/1.1 100 Continue\r\n\r\n" * (MAX_INTERIM + 1) + OK)


@pytest.mark.parametrize("extra", [b"", b"upgrade: websocket\r\nconnection: upgrade\r\n"])
def test_switching_protocols_is_refused(extra: bytes) -> None:
    with pytest.raises(BadResponse, match="switched protocols"):
        read(b"HTTP/1.1 101 Switching Protocols\r\n" + extra + b"\r\n")


def test_the_body_is_read_up_to_its_limit_and_the_rest_is_left() -> None:
    reader = read(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n", b"x" * 10_000, b"never fed")
    assert (reader.complete, reader.reusable) == (True, False)
    assert reader.response().excerpt == b"x" * MAX_BODY_BYTES


def test_a_body_of_just_the_limit_is_whole() -> None:
    reader = read(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % MAX_BODY_BYTES + b"x" * MAX_BODY_BYTES)
    assert reader.complete
    assert reader.response().excerpt == b"x" * MAX_BODY_BYTES


def test_an_endless_chunked_body_is_left() -> None:
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    assert endless(head, b"100\r\n" + b"x" * 256 + b"\r\n").response().status == 200
    assert endless(head + b"40000000\r\n", b"x" * 4096).response().status == 200


@pytest.mark.parametrize("count", [MAX_HEADERS, MAX_HEADERS + 1])
def test_headers_are_limited_in_number(count: int) -> None:
    reply = b"HTTP/1.1 204 X\r\n" + b"".join(b"h%d: v\r\n" % i for i in range(count)) + b"\r\n"
    if count <= MAX_HEADERS:
        assert read(reply).complete
    else:
        with pytest.raises(BadResponse, match="more than 100 headers"):
            read(reply)


@pytest.mark.parametrize("pieces", [1, 2, 7])
def test_headers_are_limited_in_size_however_they_arrive(pieces: int) -> None:
    reply = b"HTTP/1.1 204 X\r\n" + b"h: %b\r\n" % (b"v" * 1000) * 17 + b"\r\n"
    size = len(reply) // pieces + 1
    with pytest.raises(BadResponse, match=f"headers exceed {MAX_HEADER_BYTES} bytes"):
        read(*(reply[i : i + size] for i in range(0, len(reply), size)))
    assert read(b"HTTP/1.1 204 X\r\n" + b"h: %b\r\n" % (b"v" * 1000) * 15 + b"\r\n").complete


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"HTTP/1.1 200 OK\r\nh: ", b"v" * 4096),
        (b"HTTP/1.1 200 OK\r\n", b"h" * 4096),
        (b"HTTP/1.1 200 ", b"K" * 4096),
        (b"", b"\r\n" * 2048),
        (b"HTTP/1.1 200 OK\r\n", b"a: b\r\n" * 700),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\nt: ", b"v" * 4096),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", b"t: v\r\n" * 700),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;x=", b"v" * 4096),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"1;%b\r\nx\r\n" % (b"v" * 4000)),
    ],
    ids=[
        "value",
        "name",
        "reason",
        "blank lines",
        "lines",
        "trailer value",
        "trailers",
        "extension",
        "extensions",
    ],
)
def test_nothing_around_a_body_may_be_endless(head: bytes, piece: bytes) -> None:
    with pytest.raises(BadResponse):
        endless(head, piece)


def test_a_body_in_chunks_of_one_byte_is_read_to_its_limit() -> None:
    reader = endless(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n")
    assert len(reader.response().excerpt) == MAX_BODY_BYTES
    assert 6 * MAX_BODY_BYTES + MAX_HEADER_BYTES < MAX_REPLY_BYTES


@pytest.mark.parametrize(
    "garbage",
    [
        b"garbage", b"\x00\x01\x02", b"SSH-2.0-OpenSSH_9.6\r\n", b"220 smtp.example ESMTP\r\n", b"<html></html>",
        b"HTTP/1.1\r\n\r\n", b"HTTP/1.1 OK\r\n\r\n", b"HTTP/1.1 20 OK\r\n\r\n", b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n", b"HTTP/1.1 -200 OK\r\n\r\n", b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP 200 OK\r\n\r\n",
        b"ICY 200 OK\r\n\r\n", b"RTSP/1.0 200 OK\r\n\r\n", b"ICE/1.0 200 OK\r\n\r\n",
        b"\r\nHTTP/1.1 200 OK\r\n\r\n", b"http/1.1 200 OK\r\n\r\n", b"HTTP/1.1  200 OK\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", b"HTTP/1.1 200 OK\r\nbad name: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n: x\r\n\r\n", b"HTTP/1.1 200 OK\r\na: b\x00c\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
    ],
)  # fmt: skip
def test_what_is_not_http_is_refused(garbage: bytes) -> None:
    with pytest.raises(BadResponse):
        read(garbage, end=True)


@pytest.mark.parametrize(
    "chunk",
    [b"x\r\nabc\r\n", b"-1\r\n", b"\r\n", b"0x3\r\nabc\r\n", b" 3\r\nabc\r\n", b"3 \r\nabc\r\n", b"3\r\nabcd\r\n",
     b"3\nabc\n0\n\n", b"fffffffffffffffff\r\n", b"3\r\nabc0\r\n\r\n"],
)  # fmt: skip
def test_bad_chunk_sizes_are_refused(chunk: bytes) -> None:
    with pytest.raises(BadResponse):
        read(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunk, end=True)


@pytest.mark.parametrize(
    ("cut", "word"),
    [
        (b"", "closed without a response"),
        (b"HTT", "cut off in the headers"),
        (b"HTTP/1.1 200 OK\r\ncontent-le", "cut off in the headers"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "cut off in the headers"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc", "cut off in the body"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab", "cut off in the body"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n", "cut off in the body"),
    ],
)
def test_a_reply_that_is_cut_off_is_refused(cut: bytes, word: str) -> None:
    with pytest.raises(BadResponse, match=word):
        read(*([cut] if cut else []), end=True)


@pytest.mark.parametrize(
    "more",
    [b"HTTP/1.1 500 Oops\r\ncontent-length: 3\r\n\r\nbad", b"garbage", b"HTTP/1.1 100 Continue\r\n\r\n" * 20],
)
def test_the_first_reply_counts_and_what_follows_it_spoils_only_the_connection(more: bytes) -> None:
    reader = read(OK + more)
    assert reader.response() == Response(200, None, b"ok")
    assert (reader.complete, reader.reusable) == (True, False)


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_read_or_refused(data: bytes, as_headers: bool) -> None:
    head = b"HTTP/1.1 200 OK\r\n" if as_headers else b""
    try:
        reader = read(head + data, end=True)
    except BadResponse:
        return
    assert 200 <= reader.response().status <= 999


def test_a_closed_reader_is_freed_without_garbage_collection() -> None:
    gc.disable()
    try:
        reader = read(OK)
        reader.close()
        assert reader.response() == Response(200, None, b"ok")
        freed = ref(reader)
        del reader
        assert freed() is None
    finally:
        gc.enable()
