"""What became of each delivery: read from the ledger while it is owed, from the delivery log once it is delivered.

The log is written by the scripts that settle, at no round trip of its own, and bounded: so many attempts an
endpoint, the oldest go first, and none older than so long. What was delivered is kept whole, with its payload,
so that it can be sent again. A full server refuses the log before it refuses anything else.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import orjson
import redis

from hookfarm import keys
from hookfarm.errors import Conflict, NotFound
from hookfarm.jobs import Taken, decode, encode, numbered
from hookfarm.lua import Script

TRIM_SECONDS = 10.0
_TRIMMED_ENTRIES = 1000
_TRIMMED_ENDPOINTS = 200
FULL = 0.9
"""Share of the server's memory above which the log gives way: half of each endpoint's goes."""
_SCANNED = 500

_SEND_AGAIN = Script("send_again", "ledger")
_PURGE = Script("purge")
_TRIM = Script("trim_log", "log")


class Place(StrEnum):
    """Where a delivery is."""

    OPEN = "open"
    """Queued, or in a worker."""
    PARKED = "parked"
    """Over its endpoint's window, or the endpoint is paused."""
    RETRY = "retry"
    DELIVERED = "delivered"
    DEAD = "dead"


@dataclass(frozen=True)
class Delivery:
    """One delivery with all that is known of it.

    `attempts`: each `{"at": Unix seconds, "took_ms": …, "status": … | "error": …, "detail": …}`, where `detail`
    is the first kB of the reply, or what went wrong.
    `at_ms`: when its next attempt is due (retry), or when it died (dead). `reason`: why it is dead.
    `payload`: the body of every attempt.
    """

    id: str
    endpoint: str
    place: Place
    attempts: tuple[dict[str, Any], ...]
    payload: bytes = field(repr=False)
    reason: str | None = None
    at_ms: int | None = None
    stored: bytes = field(default=b"", repr=False)

    def public(self) -> dict[str, Any]:
        """As programs read it; `payload` as the JSON it is."""
        return {
            "id": self.id,
            "endpoint": self.endpoint,
            "status": self.place.value,
            "attempts": list(self.attempts),
            "reason": self.reason,
            "at_ms": self.at_ms,
            "payload": orjson.Fragment(self.payload),
        }


@dataclass(frozen=True)
class LoggedAttempt:
    """One line of an endpoint's log. `cursor` is where to go on reading, towards the past."""

    cursor: str
    at_ms: int
    delivery: str
    endpoint: str
    number: int
    status: str
    """An HTTP status, or the word for an error."""
    took_ms: int

    @property
    def delivered(self) -> bool:
        return self.status.startswith("2") and self.status.isdigit()


def find(client: "redis.Redis", delivery_id: str) -> Delivery:
    """NotFound where neither the ledger nor the log has it."""
    job, done = _stored(client, delivery_id)
    if isinstance(job, bytes):
        return _owed(client, delivery_id, job)
    if isinstance(done, bytes):
        return _delivered(done)
    raise NotFound(f"no delivery {delivery_id!r}, or not any more")


def attempts(
    client: "redis.Redis", endpoint: str, before: str | None = None, since_ms: int = 0, limit: int = 50
) -> list[LoggedAttempt]:
    """An endpoint's attempts, the newest first, older than the cursor `before`, none before `since_ms`."""
    newest = "+" if before is None else f"({before}"
    found: Any = client.xrevrange(keys.ATTEMPTS + endpoint, newest, since_ms or "-", count=limit)
    return [_attempt(endpoint, cursor.decode(), fields) for cursor, fields in found]


def logged_endpoints(client: "redis.Redis") -> set[str]:
    """The endpoints that have attempts in the log."""
    found: Any = client.smembers(keys.LOGGED)
    return {name.decode() for name in found}


def dead_letters(
    client: "redis.Redis", endpoint: str | None = None, reason: str | None = None
) -> Iterator[Delivery]:
    """Dead letters, the newest first; of one endpoint, or for a reason, where one is given."""
    start = 0
    while True:
        page: Any = client.zrange(keys.DEAD, start, start + _SCANNED - 1, desc=True, withscores=True)
        if not page:
            return
        jobs: Any = client.hmget(keys.JOBS, [letter for letter, _ in page])
        for (letter, died_ms), job in zip(page, jobs, strict=True):
            if job is None:
                continue
            dead = _from_job(letter.decode(), job, Place.DEAD, int(died_ms))
            if endpoint in (None, dead.endpoint) and reason in (None, dead.reason):
                yield dead
        start += len(page)


def send_again(client: "redis.Redis", delivery: Delivery) -> None:
    """Sends it once more under the same id, on a retry schedule that begins anew.

    Conflict where it is on its way already, or was changed meanwhile, or is no delivery but garbage.
    """
    if delivery.place in (Place.OPEN, Place.PARKED):
        raise Conflict(f"{delivery.id} is on its way already")
    if not delivery.endpoint:
        raise Conflict(f"{delivery.id} is no delivery: {delivery.reason}")
    job = _anew(delivery)
    arguments = (delivery.id, delivery.endpoint, job, delivery.place.value, delivery.stored)
    if not _SEND_AGAIN.call(client, (), arguments):
        raise Conflict(f"{delivery.id} was changed meanwhile; look again")


def purge(client: "redis.Redis", ids: Sequence[str]) -> int:
    """Forgets these dead letters for good; returns how many there were."""
    return int(_PURGE.call(client, (), ids)) if ids else 0


class Trimming:
    """A periodic duty: what is too old goes, some endpoints at a time; from a server nearly full, half."""

    def __init__(self, kept_attempts: int, age_seconds: float) -> None:
        self._kept = kept_attempts
        self._age_seconds = age_seconds
        self._cursor = 0

    def perform(self, client: "redis.Redis") -> None:
        too_old = int((time.time() - self._age_seconds) * 1000)
        share = 0.5 if is_nearly_full(client) else 1.0
        page: Any = client.sscan(keys.LOGGED, self._cursor, count=_TRIMMED_ENDPOINTS)
        self._cursor, endpoints = page
        for name in endpoints:
            kept = min(self._kept, int(client.xlen(keys.ATTEMPTS + name.decode()) * share))
            while _TRIM.call(client, (), (name, max(too_old, 0), kept, _TRIMMED_ENTRIES)) == _TRIMMED_ENTRIES:
                pass


def is_nearly_full(client: "redis.Redis") -> bool:
    """Whether the server has used FULL of its `maxmemory`."""
    memory: Any = client.info("memory")
    return 0 < FULL * int(memory["maxmemory"]) < int(memory["used_memory"])


def _stored(client: "redis.Redis", delivery_id: str) -> tuple[bytes | None, bytes | None]:
    with client.pipeline(transaction=True) as pipe:
        pipe.hget(keys.JOBS, delivery_id)
        pipe.hget(keys.DELIVERED, delivery_id)
        job, done = pipe.execute()
    return job, done


def _owed(client: "redis.Redis", delivery_id: str, job: bytes) -> Delivery:
    with client.pipeline(transaction=True) as pipe:
        pipe.zscore(keys.RETRY, delivery_id)
        pipe.zscore(keys.DEAD, delivery_id)
        pipe.zscore(keys.OPEN, delivery_id)
        retry, dead, open_ = pipe.execute()
    if retry is not None:
        return _from_job(delivery_id, job, Place.RETRY, int(retry))
    if dead is not None:
        return _from_job(delivery_id, job, Place.DEAD, int(dead))
    return _from_job(delivery_id, job, Place.PARKED if open_ is None else Place.OPEN, None)


def _from_job(delivery_id: str, job: bytes, place: Place, at_ms: int | None) -> Delivery:
    taken = decode(numbered(0, job))
    if not isinstance(taken, Taken):
        header = orjson.loads(job)
        return Delivery(delivery_id, "", place, (), orjson.dumps(header.get("raw")), header["reason"], at_ms, job)
    outcomes = tuple(taken.header.get("outcomes", ()))
    reason = taken.header.get("reason") if place is Place.DEAD else None
    return Delivery(taken.id, taken.endpoint, place, outcomes, taken.body, reason, at_ms, job)


def _delivered(stored: bytes) -> Delivery:
    taken = decode(numbered(0, stored))
    assert isinstance(taken, Taken)
    outcome = taken.header["outcome"]
    outcomes = (*taken.header.get("outcomes", ()), outcome)
    at_ms = int(outcome["at"] * 1000)
    return Delivery(taken.id, taken.endpoint, Place.DELIVERED, outcomes, taken.body, None, at_ms, stored)


def _anew(delivery: Delivery) -> bytes:
    """The job of a delivery that is to be sent again, its attempts counted on."""
    taken = decode(numbered(0, delivery.stored))
    assert isinstance(taken, Taken)
    made = taken.header.get("done") or taken.attempt - (delivery.place is Place.RETRY)
    header = {k: v for k, v in taken.header.items() if k not in ("done", "outcome", "reason", "orphaned")}
    kept = {**header, "attempt": made + 1, "base": made, "outcomes": list(delivery.attempts)}
    return encode(kept, taken.body)


def _attempt(endpoint: str, cursor: str, fields: dict[bytes, bytes]) -> LoggedAttempt:
    return LoggedAttempt(
        cursor,
        int(cursor.partition("-")[0]),
        fields[b"d"].decode(),
        endpoint,
        int(fields[b"n"]),
        fields[b"s"].decode(),
        int(fields[b"t"]),
    )
