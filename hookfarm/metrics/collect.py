"""Collection of metrics from all farms on this Redis, by publish and subscribe, at each scrape.

Metrics are computed only at a scrape and never stored, so that a full server does not matter. The number of
subscribers is the number of expected responses. All databases share the channels, so their names contain the
database.
"""

import os
import secrets
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import orjson
import redis

from hookfarm.metrics import family
from hookfarm.metrics.family import Family
from hookfarm.store import keys

RESPONSE_SECONDS = 1.5
"""A keeper responds within 0.1 s; a restarting keeper misses the request."""
_HOST = socket.gethostname()


@dataclass(frozen=True)
class FarmMetrics:
    """Metrics of one farm; `host` and `pid` are its master's."""

    host: str
    pid: int
    families: tuple[Family, ...]


@dataclass(frozen=True)
class CollectedMetrics:
    """Metrics of all farms that responded in time, and the number of missing farms."""

    farms: tuple[FarmMetrics, ...]
    missing: int


class MetricsResponder:
    """Keeper duty that sends the farm's metrics on request, without waiting."""

    def __init__(self, collect: Callable[[], Iterable[Family]]) -> None:
        self._collect = collect
        self._listener: Any = None

    def perform(self, client: redis.Redis) -> None:
        """Respond to the requests since the last call."""
        try:
            if self._listener is None:
                self._listener = redis.client.PubSub(client.connection_pool, ignore_subscribe_messages=True)
                self._listener.subscribe(keys.metrics_request(_database(client)))
            for channel in self._requests():
                client.publish(channel, self._response())
        except (redis.ConnectionError, redis.TimeoutError):
            # Subscribe again next time. The keeper detects an outage by its own connection.
            self._listener.close()
            self._listener = None

    def _requests(self) -> set[str]:
        """Return the channels to respond on."""
        found = set()
        while (message := self._listener.get_message()) is not None:
            channel = message["data"].decode("utf-8", "replace")
            if channel.startswith(keys.METRICS_RESPONSES):
                found.add(channel)
        return found

    def _response(self) -> bytes:
        return orjson.dumps({"host": _HOST, "pid": os.getppid(), "families": list(self._collect())})


async def collect(client: redis.asyncio.Redis, within_seconds: float = RESPONSE_SECONDS) -> CollectedMetrics:
    """Collect the metrics of all farms on this Redis."""
    channel = keys.METRICS_RESPONSES + secrets.token_hex(8)
    deadline = time.monotonic() + within_seconds
    responses: list[FarmMetrics | None] = []
    async with client.pubsub() as listener:
        await listener.subscribe(channel)
        await listener.get_message(
            timeout=within_seconds
        )  # The confirmation of the subscription precedes all responses.
        expected = await client.publish(keys.metrics_request(_database(client)), channel)
        while len(responses) < expected and (left := deadline - time.monotonic()) > 0:
            message = await listener.get_message(timeout=left)
            if message is not None:
                responses.append(_decode(message["data"]))
    farms = tuple(response for response in responses if response is not None)
    return CollectedMetrics(farms, expected - len(farms))


def _decode(raw: bytes) -> FarmMetrics | None:
    """Return a farm's metrics; None if another version sent another format."""
    try:
        response = orjson.loads(raw)
        return FarmMetrics(
            str(response["host"]), int(response["pid"]), tuple(map(family.decode, response["families"]))
        )
    except (ValueError, TypeError, KeyError):
        return None


def _database(client: Any) -> int:
    return int(client.connection_pool.connection_kwargs.get("db") or 0)
