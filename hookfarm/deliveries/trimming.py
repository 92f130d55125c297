"""Trimming of the delivery log, a duty: by age, length and size, and by half on a nearly full server."""

import time
from typing import Any

import redis

from hookfarm.store import keys
from hookfarm.store.scripts import Script

INTERVAL_SECONDS = 10.0
MAX_ATTEMPTS_OF_ALL = 1_000_000
"""Maximum attempts in the log of all endpoints, about 90 MB."""
DEFAULT_MAX_BYTES = 10**9
MARGIN = 0.05
"""An oversized log is trimmed to this share below its limit."""
FULL = 0.9
"""Used share of the server's memory above which half of each endpoint's log is removed."""
_ENTRIES_BATCH_SIZE = 1000
_ENDPOINTS_BATCH_SIZE = 200

_TRIM = Script("trim_log")


class LogTrimmer:
    """Keeper duty that removes old attempts, a batch of endpoints at a time."""

    def __init__(self, kept_attempts: int, age_seconds: float, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        """Set the limits: `kept_attempts` per endpoint; `max_bytes` of all endpoints, within a few per cent."""
        self._kept = kept_attempts
        self._age_seconds = age_seconds
        self._max_bytes = max_bytes
        self._cursor = 0

    def perform(self, client: redis.Redis) -> None:
        """Trim the common log and a batch of the endpoints' logs, or all of them if they are too large."""
        oldest_ms = max(0, int((time.time() - self._age_seconds) * 1000))
        excess = 1 - self._max_bytes / max(size_in_bytes(client), 1)
        if excess > 0:
            oldest_ms = max(oldest_ms, _oldest_kept_ms(client, excess))
        self._trim(client, oldest_ms, exactly=excess > 0)
        while excess > 0 and self._cursor:
            self._trim(client, oldest_ms, exactly=True)

    def _trim(self, client: redis.Redis, oldest_ms: int, exactly: bool) -> None:
        share = 0.5 if is_nearly_full(client) else 1.0
        length = min(MAX_ATTEMPTS_OF_ALL, int(client.xlen(keys.ATTEMPTS_ALL) * share))
        client.xtrim(keys.ATTEMPTS_ALL, maxlen=length, approximate=True)
        client.xtrim(keys.ATTEMPTS_ALL, minid=str(oldest_ms), approximate=not exactly)
        page: Any = client.sscan(keys.LOGGED_ENDPOINTS, self._cursor, count=_ENDPOINTS_BATCH_SIZE)
        self._cursor, endpoints = page
        for name in endpoints:
            kept = min(self._kept, int(client.xlen(keys.ATTEMPTS + name.decode()) * share))
            arguments = (name, oldest_ms, kept, _ENTRIES_BATCH_SIZE)
            while _TRIM.call(client, (), arguments) == _ENTRIES_BATCH_SIZE:
                pass


def size_in_bytes(client: redis.Redis) -> int:
    """Return the approximate memory of the log: delivered jobs, their last attempts, the lists of attempts."""
    with client.pipeline(transaction=False) as pipe:
        pipe.hlen(keys.JOBS)
        pipe.hlen(keys.DELIVERED)
        for key in (keys.JOBS, keys.DELIVERED, keys.ATTEMPTS_ALL):
            pipe.memory_usage(key)
        jobs, delivered, *sizes = pipe.execute()
    of_jobs, of_delivered, of_attempts = (int(size or 0) for size in sizes)
    return of_jobs * int(delivered) // max(int(jobs), 1) + of_delivered + 2 * of_attempts


def _oldest_kept_ms(client: redis.Redis, excess: float) -> int:
    """Return the time before which the share `excess` of the attempts was made, assuming an even rate."""
    first: Any = client.xrange(keys.ATTEMPTS_ALL, count=1)
    last: Any = client.xrevrange(keys.ATTEMPTS_ALL, count=1)
    if not first:
        return 0
    begin, end = (int(entry[0][0].partition(b"-")[0]) for entry in (first, last))
    return begin + int((end - begin) * min(1.0, excess + MARGIN)) + 1


def is_nearly_full(client: redis.Redis) -> bool:
    """Return whether the server has used FULL of its `maxmemory`."""
    memory: Any = client.info("memory")
    return 0 < FULL * int(memory["maxmemory"]) < int(memory["used_memory"])
