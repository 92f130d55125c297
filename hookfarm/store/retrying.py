"""Operations on Redis, retried until Redis has executed them."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Concatenate, ParamSpec, TypeVar

import redis

from hookfarm.backoff import delay

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
