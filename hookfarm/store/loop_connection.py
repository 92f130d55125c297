"""A connection to Redis on an EventLoop: requests are sent in one write, replies go to callbacks in order."""

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
"""Maximum time for which `connect` blocks the loop, excluding name resolution."""

OnReplies = Callable[[list[Reply]], None]
_WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class _Request(NamedTuple):
    """Commands that wait for their replies."""

    replies: int
    on_replies: OnReplies
    timer: Timer
    is_urgent: bool


class LoopConnection:
    """One connection to Redis.

    An error of the connection closes it, drops all requests under way, and calls `on_lost` once. Redis may have
    executed dropped requests. An error reply to a command is passed to its callback as a value.
    """

    def __init__(self, url: str, loop: EventLoop, on_lost: Callable[[RedisError], None]) -> None:
        self._raw = raw_connection(url, CONNECT_SECONDS, CONNECT_SECONDS)
        self._loop = loop
        self._on_lost = on_lost
        self._reader = reply_reader()
        self._buffer = bytearray(READ_BUFFER_BYTES)
        self._fd = -1
        self._events: int | None = None
        self._requests: deque[_Request] = deque()
        self._urgent = 0
        """Number of urgent requests."""
        self._replies: list[Reply] = []
        self._queued: list[bytes] = []
        self._unsent = b""

    @property
    def is_connected(self) -> bool:
        return self._fd >= 0

    @property
    def is_waiting(self) -> bool:
        """Whether a request waits for replies."""
        return bool(self._requests)

    def connect(self) -> None:
        """Connect and authenticate; blocks. Raises RedisError."""
        self._raw.connect()  # type: ignore[no-untyped-call]
        connected = self._raw._get_socket()
        if connected is None:
            raise redis.ConnectionError("not connected")
        self._socket = connected
        self._socket.setblocking(False)
        self._reader = reply_reader()
        self._fd = self._socket.fileno()
        self._watch()

    def request(
        self,
        packed: bytes,
        on_replies: OnReplies,
        replies: int = 1,
        within_seconds: float = COMMAND_TIMEOUT_SECONDS,
        is_urgent: bool = True,
    ) -> None:
        """Send commands with the next `flush`; call `on_replies` once with all their replies.

        If they don't arrive within `within_seconds`, the connection is closed. Replies wake the loop only while an
        urgent request is under way; otherwise `receive` passes them on.
        """
        timer = self._loop.call_later(within_seconds, self._on_time_out)
        self._requests.append(_Request(replies, on_replies, timer, is_urgent))
        self._urgent += is_urgent
        self._queued.append(packed)

    def receive(self) -> None:
        """Pass on replies that arrived without waking the loop."""
        if self._requests and not self._urgent and self.is_connected:
            self._read()

    def flush(self) -> None:
        """Send all requests since the last flush in one write."""
        if self._queued and self.is_connected:
            data, self._queued = b"".join(self._queued), []
            if self._unsent:
                self._unsent += data
            else:
                self._send(data)
        if self.is_connected:
            self._watch()

    def close(self) -> None:
        """Close the connection and drop all requests. Does nothing if it is not connected."""
        if self._fd < 0:
            return
        self._loop.unwatch(self._fd)
        self._fd, self._events = -1, None
        self._raw.disconnect()  # type: ignore[no-untyped-call]
        for request in self._requests:
            request.timer.cancel()
        self._requests.clear()
        self._urgent = 0
        self._replies, self._queued, self._unsent = [], [], b""

    def _send(self, data: bytes) -> None:
        try:
            sent = self._socket.send(data)
        except _WOULD_BLOCK:
            sent = 0
        except OSError as error:
            self._lose(_lost(error))
            return
        self._unsent = data[sent:]

    def _watch(self) -> None:
        """Watch for room to send and for urgent replies; without a request, for a close by the server."""
        events = READABLE if self._urgent or not self._requests else 0
        if self._unsent:
            events |= WRITABLE
        if events != self._events:
            self._loop.watch(self._fd, events, self._on_ready)
            self._events = events

    def _on_ready(self, events: int) -> None:
        if events & WRITABLE and self._unsent:
            self._send(self._unsent)
            if self.is_connected:
                self._watch()
        if self.is_connected:
            self._read()

    def _read(self) -> None:
        """Read all data that has arrived. TLS may buffer data without an event, so read until it is empty."""
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
            self._reader.feed(self._buffer, 0, count)  # type: ignore[arg-type]  # Accepts any buffer.
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
                self._urgent -= request.is_urgent
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
