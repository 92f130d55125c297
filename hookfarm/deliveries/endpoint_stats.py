"""State of endpoints: their windows with the circuit breaker, and statistics of their last attempts.

Both need one short read per endpoint. docs/decisions/0002-windows.md explains windows. The
statistics always agree with the endpoint's log; see store/lua/shared/delivery_log.lua.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import redis

from hookfarm.deliveries import state_index
from hookfarm.records import Endpoint
from hookfarm.registry.listing import ListedEndpoint
from hookfarm.store.scripts import CIRCUIT_FAILURES, Script
from hookfarm.timestamps import format_ms

MAX_ATTEMPTS = 100
"""Maximum attempts in the statistics."""
_ATTEMPT_BYTES = 4
_BATCH_SIZE = 200

_READ_WINDOWS = Script("read_windows")
_READ_STATS = Script("read_endpoint_stats")


class Circuit(StrEnum):
    """State of an endpoint's circuit breaker."""

    CLOSED = "closed"
    """Healthy: jobs are sent."""
    OPEN = "open"
    """Failing: the next probe is sent at the window's `probe_at_ms`."""
    HALF_OPEN = "half_open"
    """Failing, with a probe in flight."""


@dataclass(frozen=True)
class Window:
    """An endpoint's window and the state of its circuit breaker.

    `limit`: maximum open jobs now; None = not limited yet. `failures`: failures in a row. `failing_since_ms`: time
    of the first of them. `probe_at_ms`: earliest time of the next probe.
    """

    open: int = 0
    parked: int = 0
    limit: int | None = None
    failures: int = 0
    failing_since_ms: int | None = None
    probe_at_ms: int | None = None

    @property
    def circuit(self) -> Circuit:
        if self.failures < CIRCUIT_FAILURES:
            return Circuit.CLOSED
        return Circuit.HALF_OPEN if self.open else Circuit.OPEN

    @property
    def is_failing(self) -> bool:
        """Whether every attempt has failed since the last success."""
        return self.failing_since_ms is not None

    def as_json(self) -> dict[str, Any]:
        return {
            "open": self.open,
            "parked": self.parked,
            "limit": self.limit,
            "circuit": self.circuit,
            "failures": self.failures,
            "failing_since": _time(self.failing_since_ms),
            "probe_at": _time(self.probe_at_ms),
        }


@dataclass(frozen=True)
class AttemptStats:
    """Statistics of the last attempts, at most MAX_ATTEMPTS; quantiles are None without any."""

    attempts: int
    succeeded: int
    p50_ms: int | None
    p99_ms: int | None

    def as_json(self) -> dict[str, int | None]:
        return dict(vars(self))


def endpoint_views(client: redis.Redis, found: Sequence[ListedEndpoint]) -> list[dict[str, Any]]:
    """Return endpoints in the form of the API, each with its window and attempt statistics."""
    ids = [listed.endpoint.id for listed in found]
    if not ids:
        return []
    windows = read_windows(client, ids)
    retries = state_index.count_retries(client, ids)
    stats = read_attempt_stats(client, ids)
    return [
        {
            **listed.endpoint.public(),
            "created_at": format_ms(listed.created_ms),
            "window": _window_json(listed.endpoint, window, retry),
            "recent": recent.as_json(),
        }
        for listed, window, retry, recent in zip(found, windows, retries, stats, strict=True)
    ]


def read_windows(client: redis.Redis, endpoints: Sequence[str]) -> list[Window]:
    """Return the window of each endpoint."""
    batches = (endpoints[i : i + _BATCH_SIZE] for i in range(0, len(endpoints), _BATCH_SIZE))
    return [
        _window(fields, parked) for batch in batches for *fields, parked in _READ_WINDOWS.call(client, (), batch)
    ]


def read_attempt_stats(client: redis.Redis, endpoints: Sequence[str]) -> list[AttemptStats]:
    """Return the statistics of each endpoint."""
    if not endpoints:
        return []
    return [_stats(marks or b"", logged) for marks, logged in _READ_STATS.call(client, (), endpoints)]


def _window_json(endpoint: Endpoint, window: Window, retry: int) -> dict[str, Any]:
    return {
        "open": window.open,
        "limit": window.limit,
        "parked": window.parked,
        "retry": retry,
        "circuit": window.circuit,
        "failures": window.failures,
        "paused_reason": None if endpoint.enabled else endpoint.disabled_reason,
    }


def _window(fields: Sequence[bytes | None], parked: int) -> Window:
    open_, limit, failures, since, probe_at = (None if value is None else int(value) for value in fields)
    return Window(open_ or 0, parked, limit or None, failures or 0, since or None, probe_at or None)


def _time(at_ms: int | None) -> str | None:
    return None if at_ms is None else format_ms(at_ms)


def _stats(stored: bytes, logged: int) -> AttemptStats:
    """Return the statistics of an endpoint's attempts.

    `logged`: number of attempts in the endpoint's log; trimmed ones do not count.
    """
    count = min(logged, MAX_ATTEMPTS, len(stored) // _ATTEMPT_BYTES)
    marks = struct.unpack(f">{count}I", stored[len(stored) - count * _ATTEMPT_BYTES :])
    durations: list[Any] = sorted(mark >> 1 for mark in marks) or [None]
    p50, p99 = durations[len(durations) // 2], durations[len(durations) * 99 // 100]
    return AttemptStats(count, sum(mark & 1 for mark in marks), p50, p99)
