"""What became of each delivery: read from the ledger while it is owed, from the delivery log once it is delivered.

The log is written by the scripts that settle, at no round trip of its own, and bounded: so many attempts an
endpoint, the oldest go first, and none older than so long. What was delivered is kept whole, with its payload,
so that it can be sent again. A full server refuses the log before it refuses anything else.
"""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import orjson
import redis

from hookfarm.delivery_queue.job import MAX_OUTCOMES, ClaimedJob, decode_stored, encode
from hookfarm.errors import Conflict, InvalidInput, NotFound
from hookfarm.store import keys
from hookfarm.store.scripts import Script

TRIM_SECONDS = 10.0
RECENT_KEPT = 1_000_000
"""Attempts that the list of all endpoints goes back, some 90 MB of them."""
_TRIMMED_ENTRIES = 1000
_TRIMMED_ENDPOINTS = 200
FULL = 0.9
"""Share of the server's memory above which the log gives way: half of each endpoint's goes."""
_CURSOR = re.compile(r"([0-9]{1,16})-([0-9]{1,16})")

_SEND_AGAIN = Script("redeliver")
_TRIM = Script("trim_log")


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

    `attempts`: each `{"at": Unix seconds, "duration_ms": …, "status": … | "error": …, "detail": …}`, where
    `detail` is the first kB of the reply, or what went wrong.
    `at_ms`: when its next attempt is due (retry), or when it died (dead). `reason`: why it is dead.
    `payload`: the body of every attempt. What was no job has endpoint "", its text as `payload`, and a `source`.
    """

    id: str
    endpoint: str
    place: Place
    attempts: tuple[dict[str, Any], ...]
    payload: bytes = field(repr=False)
    reason: str | None = None
    at_ms: int | None = None
    source: str | None = None
    stored: bytes = field(default=b"", repr=False)

    @property
    def is_garbage(self) -> bool:
        return not self.endpoint

    def public(self) -> dict[str, Any]:
        """As programs read it; `payload` as the JSON it is."""
        return {
            "id": self.id,
            "endpoint": self.endpoint,
            "status": self.place.value,
            "attempts": list(self.attempts),
            "reason": self.reason,
            "at_ms": self.at_ms,
            "source": self.source,
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
    duration_ms: int

    @property
    def delivered(self) -> bool:
        return self.status.startswith("2") and self.status.isdigit()


def find(client: "redis.Redis", delivery_id: str) -> Delivery:
    """NotFound where neither the ledger nor the log has it."""
    [found] = find_all(client, [delivery_id])
    if found is None:
        raise NotFound(f"no delivery {delivery_id!r}, or not any more")
    return found


def find_all(client: "redis.Redis", ids: Sequence[str]) -> list[Delivery | None]:
    """Each of them at the same moment; None where neither the ledger nor the log has it."""
    if not ids:
        return []
    with client.pipeline(transaction=True) as pipe:
        pipe.hmget(keys.JOBS, ids)
        pipe.hmget(keys.DELIVERED, ids)
        _ask_places(pipe, ids)
        jobs, done, *places = pipe.execute()
    found: list[Delivery | None] = []
    for delivery_id, job, record, retry, dead, open_ in zip(ids, jobs, done, *places, strict=True):
        if job is not None:
            place, at_ms = _place(retry, dead, open_)
            found.append(_from_job(delivery_id, job, place, at_ms))
        else:
            found.append(None if record is None else _delivered(record))
    return found


def places(client: "redis.Redis", ids: Sequence[str]) -> list[Place | None]:
    """Where each of them is now, without its payload; None = neither in the ledger nor in the log."""
    if not ids:
        return []
    with client.pipeline(transaction=True) as pipe:
        _ask_places(pipe, ids)
        for key in (keys.JOBS, keys.DELIVERED):
            for delivery_id in ids:
                pipe.hexists(key, delivery_id)
        retry, dead, open_, *exists = pipe.execute()
    owed, done = exists[: len(ids)], exists[len(ids) :]
    return [
        _place(*scores)[0] if is_owed else Place.DELIVERED if is_done else None
        for is_owed, is_done, *scores in zip(owed, done, retry, dead, open_, strict=True)
    ]


def attempts(
    client: "redis.Redis", endpoint: str, before: str | None = None, since_ms: int = 0, limit: int = 50
) -> list[LoggedAttempt]:
    """An endpoint's attempts, the newest first, older than the cursor `before`, none before `since_ms`.

    InvalidInput where `before` is no cursor.
    """
    newest = "+" if before is None else older_than(before)
    return pages(client, {endpoint: newest}, since_ms, limit)[0]


def older_than(cursor: str) -> str:
    """As the end of a range in a stream; InvalidInput where it is no cursor."""
    found = _CURSOR.fullmatch(cursor)
    if not found:
        raise InvalidInput("before", f"{cursor!r} is not a cursor; take one from an earlier list")
    ms, number = map(int, found.groups())
    return f"({ms}-{number}" if ms or number else "0-0"


def pages(client: "redis.Redis", newest: dict[str, str], since_ms: int, count: int) -> list[list[LoggedAttempt]]:
    """The first `count` attempts of each endpoint, from the given end of its stream towards the past."""
    with client.pipeline(transaction=False) as pipe:
        for endpoint, end in newest.items():
            pipe.xrevrange(keys.ATTEMPTS + endpoint, end, since_ms or "-", count=count)
        found = pipe.execute()
    return [
        [_attempt(endpoint, cursor.decode(), fields[b"a"].decode()) for cursor, fields in page]
        for endpoint, page in zip(newest, found, strict=True)
    ]


def everybodys(client: "redis.Redis", end: str, since_ms: int, count: int) -> list[LoggedAttempt]:
    """As a page, of all endpoints together."""
    found: Any = client.xrevrange(keys.ATTEMPTS_ALL, end, since_ms or "-", count=count)
    return [_anybodys_attempt(cursor.decode(), fields) for cursor, fields in found]


def logged_endpoints(client: "redis.Redis") -> set[str]:
    """The endpoints that have attempts in the log."""
    found: Any = client.smembers(keys.LOGGED_ENDPOINTS)
    return {name.decode() for name in found}


def send_again(client: "redis.Redis", delivery: Delivery) -> None:
    """Sends it once more under the same id, on a retry schedule that begins anew.

    Conflict where it is on its way already, or was changed meanwhile, or is no delivery but garbage.
    """
    [refused] = send_all_again(client, [delivery])
    if refused is not None:
        raise refused


def send_all_again(client: "redis.Redis", deliveries: Sequence[Delivery]) -> list[Conflict | None]:
    """Sends each as `send_again` does, in that order and one round trip; for each, what stood in the way."""
    refused = [_refusal(delivery) for delivery in deliveries]
    sent = [d for d, conflict in zip(deliveries, refused, strict=True) if conflict is None]
    if not sent:
        return refused
    with client.pipeline(transaction=False) as pipe:
        pipe.script_load(_SEND_AGAIN.source.decode())
        for delivery in sent:
            arguments = (delivery.id, delivery.endpoint, _anew(delivery), delivery.place.value, delivery.stored)
            pipe.evalsha(_SEND_AGAIN.sha.decode(), 0, *arguments)
        answers = iter(pipe.execute()[1:])
    return [conflict or _changed(d, next(answers)) for d, conflict in zip(deliveries, refused, strict=True)]


def _refusal(delivery: Delivery) -> Conflict | None:
    if delivery.is_garbage:
        return Conflict(f"{delivery.id} is no delivery: {delivery.reason}")
    if delivery.place in (Place.OPEN, Place.PARKED):
        return Conflict(f"{delivery.id} is on its way already")
    return None


def _changed(delivery: Delivery, answer: bytes) -> Conflict | None:
    return None if answer == b"redelivered" else Conflict(f"{delivery.id} was changed meanwhile; look again")


class Trimming:
    """A periodic duty: what is too old goes, some endpoints at a time; from a server nearly full, half."""

    def __init__(self, kept_attempts: int, age_seconds: float) -> None:
        self._kept = kept_attempts
        self._age_seconds = age_seconds
        self._cursor = 0

    def perform(self, client: "redis.Redis") -> None:
        too_old = int((time.time() - self._age_seconds) * 1000)
        share = 0.5 if is_nearly_full(client) else 1.0
        client.xtrim(
            keys.ATTEMPTS_ALL,
            maxlen=min(RECENT_KEPT, int(client.xlen(keys.ATTEMPTS_ALL) * share)),
            approximate=True,
        )
        client.xtrim(keys.ATTEMPTS_ALL, minid=str(max(too_old, 0)), approximate=True)
        page: Any = client.sscan(keys.LOGGED_ENDPOINTS, self._cursor, count=_TRIMMED_ENDPOINTS)
        self._cursor, endpoints = page
        for name in endpoints:
            kept = min(self._kept, int(client.xlen(keys.ATTEMPTS + name.decode()) * share))
            while _TRIM.call(client, (), (name, max(too_old, 0), kept, _TRIMMED_ENTRIES)) == _TRIMMED_ENTRIES:
                pass


def is_nearly_full(client: "redis.Redis") -> bool:
    """Whether the server has used FULL of its `maxmemory`."""
    memory: Any = client.info("memory")
    return 0 < FULL * int(memory["maxmemory"]) < int(memory["used_memory"])


def _ask_places(pipe: Any, ids: Sequence[str]) -> None:
    for key in (keys.RETRY, keys.DEAD, keys.OPEN):
        pipe.zmscore(key, list(ids))


def _place(retry: float | None, dead: float | None, open_: float | None) -> tuple[Place, int | None]:
    """Where a job of the ledger is, and the ms that go with it."""
    if retry is not None:
        return Place.RETRY, int(retry)
    if dead is not None:
        return Place.DEAD, int(dead)
    return (Place.PARKED if open_ is None else Place.OPEN), None


def _from_job(delivery_id: str, job: bytes, place: Place, at_ms: int | None) -> Delivery:
    claimed = decode_stored(job)
    if not isinstance(claimed, ClaimedJob):
        header = orjson.loads(job)
        raw, reason, source = orjson.dumps(header.get("raw")), header["reason"], header.get("source")
        return Delivery(delivery_id, "", place, (), raw, reason, at_ms, source, job)
    outcomes = tuple(claimed.header.get("outcomes", ()))
    reason = claimed.header.get("reason") if place is Place.DEAD else None
    return Delivery(claimed.id, claimed.endpoint, place, outcomes, claimed.body, reason, at_ms, stored=job)


def _delivered(stored: bytes) -> Delivery:
    claimed = decode_stored(stored)
    assert isinstance(claimed, ClaimedJob)
    outcome = claimed.header["outcome"]
    outcomes = (*claimed.header.get("outcomes", ()), outcome)
    at_ms = int(outcome["at"] * 1000)
    return Delivery(
        claimed.id, claimed.endpoint, Place.DELIVERED, outcomes, claimed.body, at_ms=at_ms, stored=stored
    )


def _anew(delivery: Delivery) -> bytes:
    """The job of a delivery that is to be sent again, its attempts counted on."""
    claimed = decode_stored(delivery.stored)
    assert isinstance(claimed, ClaimedJob)
    made = claimed.header.get("done") or claimed.attempt - (delivery.place is Place.RETRY)
    header = {k: v for k, v in claimed.header.items() if k not in ("done", "outcome", "reason", "orphaned")}
    kept = {**header, "attempt": made + 1, "base": made, "outcomes": list(delivery.attempts[-MAX_OUTCOMES:])}
    return encode(kept, claimed.body)


def _anybodys_attempt(cursor: str, fields: dict[bytes, bytes]) -> LoggedAttempt:
    endpoint, attempt = fields[b"a"].decode().split(" ", 1)
    return _attempt(endpoint, cursor, attempt)


def _attempt(endpoint: str, cursor: str, attempt: str) -> LoggedAttempt:
    delivery, number, status, duration_ms = attempt.split(" ")
    at_ms = int(cursor.partition("-")[0])
    return LoggedAttempt(cursor, at_ms, delivery, endpoint, int(number), status, int(duration_ms))
