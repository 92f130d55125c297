"""The window of an endpoint, as operators see it. docs/decisions/0002-windows.md explains how windows work."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import redis

from hookfarm.store.scripts import CIRCUIT_FAILURES, Script

_READ_AT_ONCE = 200
_READ = Script("read_windows")


@dataclass(frozen=True)
class Window:
    """`limit`: how many jobs may be open now; None = it has not been needed.

    `closed`: the circuit is open, and one probe at a time tests the endpoint, the next not before `probe_at_ms`.
    `failing_since_ms`: no success since then.
    """

    open: int = 0
    parked: int = 0
    limit: int | None = None
    failures: int = 0
    failing_since_ms: int | None = None
    probe_at_ms: int | None = None

    @property
    def closed(self) -> bool:
        return self.failures >= CIRCUIT_FAILURES

    @property
    def failing(self) -> bool:
        """Every attempt has failed since the last success."""
        return self.failing_since_ms is not None

    def public(self) -> dict[str, Any]:
        """As programs read it."""
        return {**asdict(self), "closed": self.closed}


def read(client: "redis.Redis", endpoints: Sequence[str]) -> list[Window]:
    """One for each endpoint."""
    parts = (endpoints[i : i + _READ_AT_ONCE] for i in range(0, len(endpoints), _READ_AT_ONCE))
    return [_window(fields, parked) for part in parts for *fields, parked in _READ.call(client, (), part)]


def _window(fields: Sequence[bytes | None], parked: int) -> Window:
    open_, limit, failures, since, wait = (None if value is None else int(value) for value in fields)
    return Window(open_ or 0, parked, limit or None, failures or 0, since or None, wait or None)
