"""A connection to Redis on an EventLoop: requests are sent together, replies go to callbacks in order."""

import ssl
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import redis

from hookfarm.event_loop import READABLE, WRITABLE, EventLoop, Timer
from hookfarm.store.clients import (
    COMMAND_TIMEOUT_SECONDS,
    INCOMPLETE,
    READ_BUFFER_BYTES,
    RedisError,
    Reply,
    raw_connection,
    reply_reader,
)

CONNECT_SECONDS = 1.0
"""Maximum time that `connect` blocks the loop, without name resolution."""

OnReplies = Callable[[list[Reply]], None]
_WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class _Request(NamedTuple):
    """Commands with outstanding replies."""

    replies: int
    on_replies: OnReplies
    timer: Timer


class LoopConnection:
    """One connection. An error closes it, drops all outstanding requests, and calls `on_lost` once.

    An error reply is passed to the callback as a value. The commands of a dropped request may have been executed.
    """

    def __init__(self, url: str, loop: EventLoop, on_lost: Callable[[RedisError], None]) -> None:
        self._raw = raw_connection(url, CONNECT_SECONDS, CONNECT_SECONDS)
        self._loop = loop
        self._on_lost = on_lost
        self._reader = reply_reader()
        self._buffer = bytearray(READ_BUFFER_BYTES)
        self._fd = -1
        self._requests: deque[_Request] = deque()
        self._replies: list[Reply] = []
        self._queued: list[bytes] = []
        self._unsent = b""

    @property
    def is_connected(self) -> bool:
        return self._fd >= 0

    @property
    def is_waiting(self) -> bool:
        """Whether a request has outstanding replies."""
        return bool(self._requests)

    def connect(self) -> None:
        """Connect and log in; blocks. Raises RedisError."""
        self._raw.connect()  # type: ignore[no-untyped-call]
        connected = self._raw._get_socket()
        if connected is None:
            raise redis.ConnectionError("not connected")
        self._socket = connected
        self._socket.setblocking(False)
        self._reader = reply_reader()
        self._fd = self._socket.fileno()
        self._loop.watch(self._fd, READABLE, self._on_ready)

    def request(
        self,
        packed: bytes,
        on_replies: OnReplies,
        replies: int = 1,
        within_seconds: float = COMMAND_TIMEOUT_SECONDS,
    ) -> None:
        """Send commands with the next `flush`. Their replies are passed on together.

        If they are late, the connection is lost.
        """
        timer = self._loop.call_later(within_seconds, self._on_time_out)
        self._requests.append(_Request(replies, on_replies, timer))
        self._queued.append(packed)

    def flush(self) -> None:
        """Send the requests since the last flush in one write."""
        if self._queued and self.is_connected:
            data, self._queued = b"".join(self._queued), []
            if self._unsent:
                self._unsent += data
            else:
                self._send(data)

    def close(self) -> None:
        """Close the connection and drop all requests. Does nothing if not connected."""
        if self._fd < 0:
            return
        self._loop.unwatch(self._fd)
        self._fd = -1
        self._raw.disconnect()  # type: ignore[no-untyped-call]
        for request in self._requests:
            request.timer.cancel()
        self._requests.clear()
        self._replies, self._queued, self._unsent = [], [], b""

    def _send(self, data: bytes) -> None:
        try:
            sent = self._socket.send(data)
        except _WOULD_BLOCK:
            sent = 0
        except OSError as error:
            self._lose(_lost(error))
            return
        if sent < len(data):
            self._unsent = data[sent:]
            self._loop.watch(self._fd, READABLE | WRITABLE, self._on_ready)

    def _on_ready(self, events: int) -> None:
        if events & WRITABLE and self._unsent:
            self._send_more()
        if self.is_connected:
            self._read()

    def _send_more(self) -> None:
        data, self._unsent = self._unsent, b""
        self._loop.watch(self._fd, READABLE, self._on_ready)
        self._send(data)

    def _read(self) -> None:
        """Read all available data. TLS may buffer data while the descriptor is not readable: read until empty."""
        more = True
        while more and self.is_connected:
            try:
                count = self._socket.recv_into(self._buffer)
            except _WOULD_BLOCK:
                return
            except OSError as error:
                self._lose(_lost(error))
                return
            if count == 0:
                self._lose(redis.ConnectionError("the server closed the connection"))
                return
            self._reader.feed(self._buffer, 0, count)  # type: ignore[arg-type]  # any buffer will do
            more = isinstance(self._socket, ssl.SSLSocket) or count == len(self._buffer)
            self._pass_on()

    def _pass_on(self) -> None:
        while self._requests:
            try:
                reply = self._reader.gets()
            except RedisError as error:
                self._lose(error)
                return
            if reply is INCOMPLETE:
                return
            if isinstance(reply, redis.ConnectionError):
                self._lose(reply)
                return
            self._replies.append(reply)
            if len(self._replies) == self._requests[0].replies:
                request, replies = self._requests.popleft(), self._replies
                self._replies = []
                request.timer.cancel()
                request.on_replies(replies)

    def _on_time_out(self) -> None:
        self._lose(redis.TimeoutError("no reply in time"))

    def _lose(self, error: RedisError) -> None:
        if self.is_connected:
            self.close()
            self._on_lost(error)


def _lost(error: OSError) -> redis.ConnectionError:
    return redis.ConnectionError(f"connection lost: {error.strerror or error}")
