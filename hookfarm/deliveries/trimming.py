"""Trimming of the delivery log, a periodic duty: by age, by length, by half if the server is nearly full."""

import time
from typing import Any

import redis

from hookfarm.store import keys
from hookfarm.store.scripts import Script

INTERVAL_SECONDS = 10.0
MAX_ATTEMPTS_OF_ALL = 1_000_000
"""Attempts in the log of all endpoints, some 90 MB."""
FULL = 0.9
"""Share of the server's memory above which half of each endpoint's log is removed."""
_ENTRIES_BATCH_SIZE = 1000
_ENDPOINTS_BATCH_SIZE = 200

_TRIM = Script("trim_log")


class LogTrimmer:
    """Keeper duty that removes old attempts, of some endpoints at a time."""

    def __init__(self, kept_attempts: int, age_seconds: float) -> None:
        self._kept = kept_attempts
        self._age_seconds = age_seconds
        self._cursor = 0

    def perform(self, client: redis.Redis) -> None:
        """Trim the log of all endpoints and the next batch of the endpoints' own logs."""
        oldest_ms = max(0, int((time.time() - self._age_seconds) * 1000))
        share = 0.5 if is_nearly_full(client) else 1.0
        length = min(MAX_ATTEMPTS_OF_ALL, int(client.xlen(keys.ATTEMPTS_ALL) * share))
        client.xtrim(keys.ATTEMPTS_ALL, maxlen=length, approximate=True)
        client.xtrim(keys.ATTEMPTS_ALL, minid=str(oldest_ms), approximate=True)
        page: Any = client.sscan(keys.LOGGED_ENDPOINTS, self._cursor, count=_ENDPOINTS_BATCH_SIZE)
        self._cursor, endpoints = page
        for name in endpoints:
            kept = min(self._kept, int(client.xlen(keys.ATTEMPTS + name.decode()) * share))
            arguments = (name, oldest_ms, kept, _ENTRIES_BATCH_SIZE)
            while _TRIM.call(client, (), arguments) == _ENTRIES_BATCH_SIZE:
                pass


def is_nearly_full(client: redis.Redis) -> bool:
    """Return whether the server has used FULL of its `maxmemory`."""
    memory: Any = client.info("memory")
    return 0 < FULL * int(memory["maxmemory"]) < int(memory["used_memory"])
