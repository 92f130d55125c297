"""The one place that opens connections to Redis.

Two kinds, because redis-py's defaults are wrong for a blocking pop: with its 5 s socket time-out and
10 retries a `BRPOP` of 6 s is sent 11 times, and each of them may have popped something nobody reads.

- `command_client`: ordinary commands. Short socket time-out, no silent retries.
- `Exchange`: one connection for one loop that blocks in Redis. Several commands go out in one write and
  their replies are read in order. It never retries: an error closes it, and its owner decides.

Nothing connects before it is first used, so that either may be built before a fork and used after it.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import hiredis
import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.connection import (
    AbstractConnection,
    Connection,
    SSLConnection,
    parse_url,
)
from redis.exceptions import RedisError as RedisError
from redis.exceptions import ResponseError as ResponseError
from redis.retry import Retry

COMMAND_TIMEOUT_SECONDS = 5.0
BLOCK_SLACK_SECONDS = 2.0
"""How much longer than it asked to block a reader waits for the reply before it gives up."""
READ_BUFFER_BYTES = 16 * 1024
"""Per connection; redis-py's 64 kB would be a hundredth of a delivery process."""

Reply = Any
"""bytes, int, None, list of these, or a ResponseError as a value."""

Argument = str | bytes | int | float


def pack(command: Sequence[Argument]) -> bytes:
    """A command and its arguments -> the bytes that Redis reads."""
    packed: bytes = hiredis.pack_command(tuple(command))  # type: ignore[arg-type]  # its stub says 1-tuple
    return packed


def command_client(url: str, timeout_seconds: float = COMMAND_TIMEOUT_SECONDS) -> redis.Redis:
    """A client for ordinary commands; replies are bytes; errors surface at once."""
    return redis.Redis.from_url(
        url,
        protocol=2,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        retry=Retry(NoBackoff(), 0),
        socket_read_size=READ_BUFFER_BYTES,
        driver_info=None,
    )


def async_client(url: str, timeout_seconds: float = COMMAND_TIMEOUT_SECONDS) -> redis.asyncio.Redis:
    """As `command_client`, for asyncio."""
    return redis.asyncio.Redis.from_url(
        url,
        protocol=2,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        retry=redis.asyncio.retry.Retry(NoBackoff(), 0),
        driver_info=None,
    )


class Exchange:
    """One connection, several commands a write, replies in order, no retries.

    `send` and then exactly as many `receive` as commands were sent. After any exception the
    connection is closed; what was sent may or may not have been done, and the next `send` opens
    a new one. An error *reply* to a command is returned as a value: the replies behind it are
    still there to be read.
    """

    def __init__(self, url: str, block_seconds: float) -> None:
        arguments: dict[str, Any] = parse_url(url)  # type: ignore[no-untyped-call]
        kind: type[AbstractConnection] = arguments.pop("connection_class", Connection)
        if kind is SSLConnection:
            arguments.setdefault("ssl_cert_reqs", "required")
        self._connection = kind(
            **{
                **arguments,
                "protocol": 2,
                "socket_timeout": block_seconds + BLOCK_SLACK_SECONDS,
                "socket_connect_timeout": COMMAND_TIMEOUT_SECONDS,
                "retry": Retry(NoBackoff(), 0),
                "socket_read_size": READ_BUFFER_BYTES,
                "driver_info": None,
            }
        )

    @property
    def connected(self) -> bool:
        """False before the first send, and after an error."""
        return bool(self._connection.is_connected)

    def send(self, packed: bytes) -> None:
        """Everything in one write; connects first where there is no connection."""
        self._connection.send_packed_command([packed], check_health=False)  # type: ignore[no-untyped-call]

    def receive(self) -> Reply:
        """The next reply; RedisError (connection, time-out) closes the connection."""
        try:
            return self._connection.read_response(disable_decoding=True)
        except ResponseError as error:
            return error

    def ask(self, *commands: Sequence[Argument]) -> list[Reply]:
        """Sends the commands in one write and reads all their replies."""
        self.send(b"".join(map(pack, commands)))
        return [self.receive() for _ in commands]

    def close(self) -> None:
        self._connection.disconnect()  # type: ignore[no-untyped-call]


def unblock(client: redis.Redis, client_ids: Iterable[int]) -> None:
    """Ends what these connections block in, as if its time were up."""
    with client.pipeline(transaction=False) as pipe:
        for client_id in client_ids:
            pipe.client_unblock(client_id)
        pipe.execute()
