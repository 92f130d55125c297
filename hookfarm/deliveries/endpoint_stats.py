"""How an endpoint's last attempts went, at one short read each: see store/lua/shared/delivery_log.lua.

They are the last ones of its log, so that what is shown of them is what the log shows. Where fewer were noted than
the log holds, because it is older than the notes or somebody else has written there, the log itself is read.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import redis

from hookfarm.deliveries import log
from hookfarm.deliveries.log import LoggedAttempt
from hookfarm.store.scripts import Script

MOST = 100
"""Attempts that are looked at."""
_BYTES = 4
_READ = Script("read_endpoint_stats")


@dataclass(frozen=True)
class Lately:
    """The last MOST attempts, or as many as there are; the times in ms, None where there are none."""

    attempts: int
    succeeded: int
    p50_ms: int | None
    p99_ms: int | None

    def public(self) -> dict[str, int | None]:
        """As programs read it."""
        return dict(vars(self))


def read(client: "redis.Redis", endpoints: Sequence[str]) -> list[Lately]:
    """One for each endpoint."""
    if not endpoints:
        return []
    noted = [_noted(note or b"", min(logged, MOST)) for note, logged in _READ.call(client, (), endpoints)]
    missing = [endpoint for endpoint, found in zip(endpoints, noted, strict=True) if found is None]
    pages = iter(log.pages(client, dict.fromkeys(missing, "+"), 0, MOST) if missing else ())
    return [_logged(next(pages)) if found is None else found for found in noted]


def _noted(note: bytes, count: int) -> Lately | None:
    """What is noted of the last `count` attempts; None where it is not of so many."""
    if len(note) < count * _BYTES:
        return None
    marks = struct.unpack(f">{count}I", note[len(note) - count * _BYTES :])
    return _summary([mark >> 1 for mark in marks], sum(mark & 1 for mark in marks))


def _logged(attempts: Sequence[LoggedAttempt]) -> Lately:
    return _summary([attempt.duration_ms for attempt in attempts], sum(attempt.delivered for attempt in attempts))


def _summary(duration_ms: list[int], succeeded: int) -> Lately:
    took: list[Any] = sorted(duration_ms) or [None]
    return Lately(len(duration_ms), succeeded, took[len(took) // 2], took[len(took) * 99 // 100])
