"""Collection of metrics from all farms on this Redis, by publish and subscribe, at each scrape.

Metrics are computed only at a scrape and never stored, so that a full server does not matter. The number of
subscribers is the number of expected responses. All databases share the channels, so their names contain the
database.

A family has a name, a help text, and a sample for each set of labels. Names follow Prometheus, without `_total`,
in base units. Label values come from small sets: configured chains and nodes, and hosts; never endpoints,
deliveries or URL paths.
"""

import os
import secrets
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import redis

from hookfarm.store import keys

COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"
Labels = Mapping[str, str]
Number = int | float


@dataclass(frozen=True)
class Distribution:
    """Cumulative numbers of observations up to each limit (ascending), their total, and their sum."""

    limits: tuple[float, ...]
    at_most: tuple[int, ...]
    count: int
    sum: float


@dataclass(frozen=True)
class Sample:
    """A value with its labels."""

    labels: Labels
    value: Number | Distribution


@dataclass(frozen=True)
class Family:
    """A metric with its samples; `kind` is COUNTER, GAUGE or HISTOGRAM (samples are distributions)."""

    name: str
    kind: str
    help: str
    samples: tuple[Sample, ...]


def counter(name: str, text: str, *samples: tuple[Labels, Number]) -> Family:
    """Return a family of counters, which only grow while the farm runs."""
    return Family(name, COUNTER, text, _summed(samples))


def gauge(name: str, text: str, *samples: tuple[Labels, Number]) -> Family:
    return Family(name, GAUGE, text, _summed(samples))


def histogram(name: str, text: str, distribution: Distribution) -> Family:
    return Family(name, HISTOGRAM, text, (Sample({}, distribution),))


def decode(raw: Any) -> Family:
    """Decode a family from JSON as orjson writes it. Raises ValueError, TypeError or KeyError if it is invalid."""
    samples = (Sample(_labels(each["labels"]), _value(raw["kind"], each["value"])) for each in raw["samples"])
    return Family(str(raw["name"]), str(raw["kind"]), str(raw["help"]), tuple(samples))


def _summed(samples: Iterable[tuple[Labels, Number]]) -> tuple[Sample, ...]:
    """Return one summed sample per set of labels, in order of first appearance."""
    found: dict[tuple[tuple[str, str], ...], Number] = {}
    for labels, value in samples:
        key = tuple(labels.items())
        found[key] = found.get(key, 0) + value
    return tuple(Sample(dict(key), value) for key, value in found.items())


def _labels(raw: Mapping[Any, Any]) -> Labels:
    return {str(name): str(value) for name, value in raw.items()}


def _value(kind: str, raw: Any) -> Number | Distribution:
    if kind != HISTOGRAM:
        return raw if isinstance(raw, int) else float(raw)
    limits: Sequence[float] = raw["limits"]
    return Distribution(tuple(limits), tuple(map(int, raw["at_most"])), int(raw["count"]), float(raw["sum"]))


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
        return FarmMetrics(str(response["host"]), int(response["pid"]), tuple(map(decode, response["families"])))
    except (ValueError, TypeError, KeyError):
        return None


def _database(client: Any) -> int:
    return int(client.connection_pool.connection_kwargs.get("db") or 0)
