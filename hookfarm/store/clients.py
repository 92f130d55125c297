"""Connections to Redis: the only module that opens them.

There are two kinds, because redis-py's defaults are wrong for a blocking pop. With its 5 s socket time-out and
10 retries, a `BRPOP` of 6 s is sent 11 times. Each may pop an element that is never read.

- `command_client`: ordinary commands. Short socket time-out, no silent retries.
- `PipelinedConnection`: one connection for one loop that blocks in Redis. Several commands are sent in one write,
  and their replies are read in order. It never retries: an error closes it, and its owner decides.

Both connect on first use, so that they can be built before a fork and used after it.
"""

import asyncio
import random
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Concatenate, ParamSpec, TypeVar

import hiredis
import redis
import redis.asyncio
import redis.asyncio.client
from redis.backoff import NoBackoff
from redis.connection import (
    AbstractConnection,
    Connection,
    DefaultParser,
    SSLConnection,
    parse_url,
)
from redis.exceptions import OutOfMemoryError as OutOfMemoryError
from redis.exceptions import RedisError as RedisError
from redis.exceptions import ResponseError as ResponseError
from redis.retry import Retry

from hookfarm.backoff import delay
from hookfarm.store import keys

COMMAND_TIMEOUT_SECONDS = 5.0
BLOCK_SLACK_SECONDS = 2.0
"""Time that a reader waits for the reply beyond the blocking time."""
READ_BUFFER_BYTES = 16 * 1024
"""Read buffer of a connection; redis-py's 64 kB would be 1 % of a delivery process."""

TIMED_OUT = (TimeoutError, BlockingIOError)
"""Exceptions of a timed-out wait: Python's, and the kernel's."""

INCOMPLETE = object()
"""Result of a reply_reader until the next reply is complete."""

Reply = Any
"""A reply: bytes, int, None, a list of these, or a ResponseError as a value."""

Argument = str | bytes | int | float

Client = redis.Redis
AsyncClient = redis.asyncio.Redis
AnyPipeline = redis.client.Pipeline | redis.asyncio.client.Pipeline


class UnexpectedValue(ResponseError):
    """A key has a value that hookfarm never writes; str() names the key and the expected content."""


def parse_integer(key: str, reply: Reply) -> int:
    """Return the number in the reply to a GET of `key`, 0 for a missing key. Raises UnexpectedValue."""
    if isinstance(reply, ResponseError):
        raise reply
    try:
        return int(reply or 0)
    except ValueError as error:
        raise UnexpectedValue(f"{key}: invalid value {reply[:40]!r}; it must be a whole number") from error


def pack(command: Sequence[Argument]) -> bytes:
    """Encode a command for Redis."""
    packed: bytes = hiredis.pack_command(tuple(command))  # type: ignore[arg-type]  # the stub declares a 1-tuple
    return packed


def raw_connection(url: str, timeout_seconds: float, connect_seconds: float) -> AbstractConnection:
    """Return a redis-py connection that is not connected yet; `connect()` also sends HELLO and AUTH."""
    arguments: dict[str, Any] = parse_url(url)  # type: ignore[no-untyped-call]
    kind: type[AbstractConnection] = arguments.pop("connection_class", Connection)
    if kind is SSLConnection:
        arguments.setdefault("ssl_cert_reqs", "required")
    return kind(
        **{
            **arguments,
            "protocol": 2,
            "socket_timeout": timeout_seconds,
            "socket_connect_timeout": connect_seconds,
            "retry": Retry(NoBackoff(), 0),
            "socket_read_size": READ_BUFFER_BYTES,
            "driver_info": None,
        }
    )


def reply_reader() -> hiredis.Reader:
    """Return a parser of replies. An error reply is a value; INCOMPLETE means that more bytes are needed."""
    return hiredis.Reader(
        protocolError=redis.InvalidResponse, replyError=DefaultParser.parse_error, notEnoughData=INCOMPLETE
    )


def command_client(url: str, timeout_seconds: float = COMMAND_TIMEOUT_SECONDS) -> Client:
    """Return a client for ordinary commands: replies are bytes, and errors are raised without retries."""
    return redis.Redis.from_url(
        url,
        protocol=2,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        retry=Retry(NoBackoff(), 0),
        socket_read_size=READ_BUFFER_BYTES,
        driver_info=None,
    )


def async_client(url: str, timeout_seconds: float = COMMAND_TIMEOUT_SECONDS) -> AsyncClient:
    """Return a `command_client` for asyncio."""
    return redis.asyncio.Redis.from_url(
        url,
        protocol=2,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        retry=redis.asyncio.retry.Retry(NoBackoff(), 0),
        driver_info=None,
    )


class PipelinedConnection:
    """One connection to Redis with several commands per write, replies in order, and no retries.

    Call `send`, then `receive` once per command. Or call `prefetch`, and later `receive_prefetched`: other
    commands may be sent and received in between. Any exception closes the connection; the next `send` opens a new
    one. The commands may or may not have been executed. An error *reply* is returned as a value, because later
    replies remain to be read.

    redis-py connects and logs in; after that this class reads the socket. Reading by redis-py would cost a third
    of a delivery process's time per job.
    """

    def __init__(self, url: str, block_seconds: float) -> None:
        self._timeout_seconds = block_seconds + BLOCK_SLACK_SECONDS
        self._connection = raw_connection(url, self._timeout_seconds, COMMAND_TIMEOUT_SECONDS)
        self._socket: socket.socket | None = None
        self._reader = hiredis.Reader()
        self._buffer = bytearray(READ_BUFFER_BYTES)
        self._unread = 0
        self._prefetched: list[Reply] = []

    @property
    def connected(self) -> bool:
        """Whether the connection is open; False before the first send and after an error."""
        return self._socket is not None

    def send(self, packed: bytes) -> None:
        """Send everything in one write; connect first if necessary."""
        self._read_prefetched()
        sock = self._socket or self._connect()
        try:
            sock.sendall(packed)
        except OSError as error:
            raise self._broken(error) from error

    def receive(self) -> Reply:
        """Return the next reply. Raises RedisError (connection, time-out) and then closes the connection."""
        reply = self._reader.gets()
        while reply is INCOMPLETE:
            self._read_more()
            reply = self._reader.gets()
        if isinstance(reply, redis.ConnectionError):
            self.close()
            raise reply
        return reply

    def prefetch(self, packed: bytes, replies: int) -> None:
        """Send commands whose replies `receive_prefetched` reads later."""
        self.send(packed)
        self._unread = replies

    @property
    def has_prefetch(self) -> bool:
        """Whether prefetched replies have not been received yet; False after an error."""
        return bool(self._unread or self._prefetched)

    def receive_prefetched(self) -> list[Reply]:
        """Return the replies to the prefetched commands."""
        self._read_prefetched()
        replies, self._prefetched = self._prefetched, []
        return replies

    def _read_prefetched(self) -> None:
        while self._unread:
            self._prefetched.append(self.receive())
            self._unread -= 1

    def execute(self, *commands: Sequence[Argument]) -> list[Reply]:
        """Send the commands in one write and read all their replies."""
        self.send(b"".join(map(pack, commands)))
        return [self.receive() for _ in commands]

    def close(self) -> None:
        self._socket = None
        self._unread, self._prefetched = 0, []
        self._connection.disconnect()  # type: ignore[no-untyped-call]

    def _connect(self) -> socket.socket:
        self._connection.connect()  # type: ignore[no-untyped-call]
        self._socket = connected = self._connection._get_socket()
        if connected is None:
            raise redis.ConnectionError("not connected")
        set_timeout(connected, self._timeout_seconds)
        self._reader = reply_reader()
        return connected

    def _read_more(self) -> None:
        if self._socket is None:
            raise redis.ConnectionError("not connected")
        try:
            count = self._socket.recv_into(self._buffer)
        except OSError as error:
            raise self._broken(error) from error
        if count == 0:
            self.close()
            raise redis.ConnectionError("the server closed the connection")
        self._reader.feed(self._buffer, 0, count)  # type: ignore[arg-type]  # any buffer will do

    def _broken(self, error: OSError) -> redis.RedisError:
        self.close()
        if isinstance(error, TIMED_OUT):
            return redis.TimeoutError("no reply in time")
        return redis.ConnectionError(f"connection lost: {error.strerror or error}")


def unblock(client: Client, client_ids: Iterable[int]) -> None:
    """End the blocking commands of these connections as if they had timed out."""
    with client.pipeline(transaction=False) as pipe:
        for client_id in client_ids:
            pipe.client_unblock(client_id)
        pipe.execute()


WRONG_TYPE = "WRONGTYPE"


def explain(error: RedisError, connection: PipelinedConnection) -> str:
    """Return the error in one line; for a WRONGTYPE error, the keys with a wrong type and their expected type.

    For a WRONGTYPE error, closes `connection` and reads the types over a new one.
    """
    if WRONG_TYPE not in str(error):
        return str(error)
    connection.close()
    try:
        found = connection.execute(*(("TYPE", key) for key in keys.TYPES))
    except RedisError:
        return str(error)
    finally:
        connection.close()
    wrong = [_describe(key, kind, must) for (key, must), kind in zip(keys.TYPES.items(), found, strict=True)]
    return ", ".join(filter(None, wrong)) or str(error)


def _describe(key: str, kind: object, must: str) -> str:
    if not isinstance(kind, bytes) or kind in (b"none", must.encode()):
        return ""
    return f"{key} is a {kind.decode()}; it must be a {must}"


def set_timeout(sock: socket.socket, seconds: float) -> None:
    """Limit each wait on `sock` to `seconds`; a longer one raises one of TIMED_OUT.

    With a Python time-out, every recv() and send() calls poll() first; SO_RCVTIMEO and SO_SNDTIMEO (socket(7))
    need one system call. TLS keeps Python's time-outs, because one TLS read may need several reads of the socket.
    """
    if isinstance(sock, ssl.SSLSocket):
        sock.settimeout(seconds)
        return
    whole, part = divmod(int(seconds * 1e6), 1_000_000)
    timeval = struct.pack("@ll", whole, part)
    sock.settimeout(None)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval)


FIRST_DELAY_SECONDS = 0.1
MAX_DELAY_SECONDS = 10.0

P = ParamSpec("P")
T = TypeVar("T")


class RetryingClient:
    """A client that retries each operation until Redis has executed it.

    The operations must be repeatable: after a lost reply, the first try may have succeeded. Error replies, as of a
    full server, are retried, too.
    """

    def __init__(
        self,
        client: redis.asyncio.Redis,
        on_error: Callable[[Exception], object],
        on_success: Callable[[], object] = lambda: None,
    ) -> None:
        self._client = client
        self._on_error = on_error
        self._on_success = on_success

    async def call(
        self,
        operation: Callable[Concatenate[redis.asyncio.Redis, P], Awaitable[T]],
        *arguments: P.args,
        **options: P.kwargs,
    ) -> T:
        """Return the result of `operation(client, *arguments, **options)`, retried until it succeeds."""
        failures = 0
        while True:
            try:
                result = await operation(self._client, *arguments, **options)
            except (redis.RedisError, OSError) as error:
                self._on_error(error)
                await asyncio.sleep(delay(failures, FIRST_DELAY_SECONDS, MAX_DELAY_SECONDS, random.random()))
                failures += 1
            else:
                self._on_success()
                return result
