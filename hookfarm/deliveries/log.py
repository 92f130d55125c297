"""The delivery log: every attempt, and the successful attempt of each delivered job.

The settle script writes the log without a further round trip. Attempts are limited per endpoint and by age. A
delivered job stays in the ledger with its payload, for redelivery, until the log is trimmed. A full
server refuses the log first.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import orjson
import redis

from hookfarm.delivery_queue.job import ClaimedJob, attempt_json, decode_job
from hookfarm.errors import InvalidInput, NotFound
from hookfarm.store import keys
from hookfarm.timestamps import format_ms

_CURSOR = re.compile(r"([0-9]{1,16})-([0-9]{1,16})")


class DeliveryState(StrEnum):
    """State of a confirmed delivery. Unconfirmed deliveries are not listed."""

    OPEN = "open"
    """In the list, or in a worker."""
    PARKED = "parked"
    """Over the endpoint's window, or the endpoint is disabled."""
    RETRY = "retry"
    DELIVERED = "delivered"
    DEAD = "dead"


@dataclass(frozen=True)
class Delivery:
    """A delivery with its attempts, from the ledger or the delivery log.

    `attempts`: each `{"at": Unix seconds, "duration_ms": …, "status": … | "error": …, "detail": …}`; `detail` is
    the first kB of the reply, or a description of the error.
    `at_ms`: time of the next attempt (retry), of death or of delivery. `reason`: of a dead letter. `payload`: the
    body of every attempt. An invalid job has endpoint "", its text as `payload`, and a `source`.
    """

    id: str
    endpoint: str
    state: DeliveryState
    attempts: tuple[dict[str, Any], ...]
    payload: bytes = field(repr=False)
    reason: str | None = None
    at_ms: int | None = None
    source: str | None = None
    stored: bytes = field(default=b"", repr=False)

    @property
    def is_invalid_job(self) -> bool:
        return not self.endpoint

    def as_json(self) -> dict[str, Any]:
        """Return the form of the API; `payload` is embedded as JSON."""
        return {
            "id": self.id,
            "endpoint": self.endpoint,
            "state": self.state.value,
            "attempts": [attempt_json(attempt) for attempt in self.attempts],
            "reason": self.reason,
            "at": None if self.at_ms is None else format_ms(self.at_ms),
            "source": self.source,
            "payload": orjson.Fragment(self.payload),
        }


@dataclass(frozen=True)
class LoggedAttempt:
    """An attempt in an endpoint's delivery log. `cursor` continues with older attempts."""

    cursor: str
    at_ms: int
    delivery: str
    endpoint: str
    number: int
    result: str
    """HTTP status, or kind of the error."""
    duration_ms: int

    @property
    def status(self) -> int | None:
        """HTTP status; None without an answer."""
        return int(self.result) if self.result.isdigit() else None

    @property
    def error(self) -> str | None:
        """Kind of the error; None with an answer."""
        return None if self.result.isdigit() else self.result

    @property
    def delivered(self) -> bool:
        return self.result.startswith("2") and self.result.isdigit()


def find(client: redis.Redis, delivery_id: str) -> Delivery:
    """Return a delivery. Raises NotFound if it is in neither the ledger nor the log."""
    [found] = find_all(client, [delivery_id])
    if found is None:
        raise NotFound(f"delivery {delivery_id!r} not found; it may have been trimmed")
    return found


def find_all(client: redis.Redis, ids: Sequence[str]) -> list[Delivery | None]:
    """Return deliveries, read in one transaction; None for ids in neither the ledger nor the log."""
    if not ids:
        return []
    with client.pipeline(transaction=True) as pipe:
        pipe.hmget(keys.JOBS, ids)
        pipe.hmget(keys.DELIVERED, ids)
        _request_scores(pipe, ids)
        jobs, done, *scores = pipe.execute()
    found: list[Delivery | None] = []
    for delivery_id, job, record, retry, dead, open_ in zip(ids, jobs, done, *scores, strict=True):
        if job is None:
            found.append(None)
        elif record is not None:
            found.append(_delivered(job, record))
        else:
            state, at_ms = _state(retry, dead, open_)
            found.append(_from_job(delivery_id, job, state, at_ms))
    return found


def states(client: redis.Redis, ids: Sequence[str]) -> list[DeliveryState | None]:
    """Return the states of deliveries without reading payloads; None for ids in neither ledger nor log."""
    if not ids:
        return []
    with client.pipeline(transaction=True) as pipe:
        _request_scores(pipe, ids)
        for key in (keys.JOBS, keys.DELIVERED):
            for delivery_id in ids:
                pipe.hexists(key, delivery_id)
        retry, dead, open_, *found = pipe.execute()
    existing, done = found[: len(ids)], found[len(ids) :]
    return [
        DeliveryState.DELIVERED if is_done else _state(*scores)[0] if exists else None
        for exists, is_done, *scores in zip(existing, done, retry, dead, open_, strict=True)
    ]


def attempts(
    client: redis.Redis, endpoint: str, before: str | None = None, since_ms: int = 0, limit: int = 50
) -> list[LoggedAttempt]:
    """Return an endpoint's attempts older than `before`, newest first, down to `since_ms`.

    Raises InvalidInput if `before` is not a cursor.
    """
    newest = "+" if before is None else before_cursor(before)
    return attempts_by_endpoint(client, {endpoint: newest}, since_ms, limit)[0]


def before_cursor(cursor: str) -> str:
    """Return the end of a stream range that excludes `cursor`. Raises InvalidInput if it is not a cursor."""
    found = _CURSOR.fullmatch(cursor)
    if not found:
        raise InvalidInput("before", f"{cursor!r} is not a cursor; take one from an earlier list")
    ms, number = map(int, found.groups())
    return f"({ms}-{number}" if ms or number else "0-0"


def attempts_by_endpoint(
    client: redis.Redis, newest: dict[str, str], since_ms: int, count: int
) -> list[list[LoggedAttempt]]:
    """Return the newest `count` attempts of each endpoint before the given end of its log."""
    with client.pipeline(transaction=False) as pipe:
        for endpoint, end in newest.items():
            pipe.xrevrange(keys.ATTEMPTS + endpoint, end, since_ms or "-", count=count)
        found = pipe.execute()
    return [
        [_attempt(endpoint, cursor.decode(), fields[b"a"].decode()) for cursor, fields in page]
        for endpoint, page in zip(newest, found, strict=True)
    ]


def all_attempts(client: redis.Redis, end: str, since_ms: int, count: int) -> list[LoggedAttempt]:
    """Return the newest `count` attempts of all endpoints before `end`."""
    found: Any = client.xrevrange(keys.ATTEMPTS_ALL, end, since_ms or "-", count=count)
    return [_attempt_of_any(cursor.decode(), fields) for cursor, fields in found]


def logged_endpoints(client: redis.Redis) -> set[str]:
    """Return the endpoints with attempts in the delivery log."""
    found: Any = client.smembers(keys.LOGGED_ENDPOINTS)
    return {name.decode() for name in found}


def _request_scores(pipe: Any, ids: Sequence[str]) -> None:
    for key in (keys.RETRY, keys.DEAD, keys.OPEN):
        pipe.zmscore(key, list(ids))


def _state(retry: float | None, dead: float | None, open_: float | None) -> tuple[DeliveryState, int | None]:
    """Return the state of a job in the ledger, and its `at_ms`."""
    if retry is not None:
        return DeliveryState.RETRY, int(retry)
    if dead is not None:
        return DeliveryState.DEAD, int(dead)
    return (DeliveryState.PARKED if open_ is None else DeliveryState.OPEN), None


def _from_job(delivery_id: str, job: bytes, state: DeliveryState, at_ms: int | None) -> Delivery:
    claimed = decode_job(job)
    if not isinstance(claimed, ClaimedJob):
        header = orjson.loads(job)
        raw, reason, source = orjson.dumps(header.get("raw")), header["reason"], header.get("source")
        return Delivery(delivery_id, "", state, (), raw, reason, at_ms, source, job)
    outcomes = tuple(claimed.header.get("outcomes", ()))
    reason = claimed.header.get("reason") if state is DeliveryState.DEAD else None
    return Delivery(claimed.id, claimed.endpoint, state, outcomes, claimed.body, reason, at_ms, stored=job)


def _delivered(stored: bytes, record: bytes) -> Delivery:
    claimed = decode_job(stored)
    assert isinstance(claimed, ClaimedJob)
    outcome = orjson.loads(record)["outcome"]
    outcomes = (*claimed.header.get("outcomes", ()), outcome)
    at_ms = int(outcome["at"] * 1000)
    state = DeliveryState.DELIVERED
    return Delivery(claimed.id, claimed.endpoint, state, outcomes, claimed.body, at_ms=at_ms, stored=stored)


def _attempt_of_any(cursor: str, fields: dict[bytes, bytes]) -> LoggedAttempt:
    endpoint, attempt = fields[b"a"].decode().split(" ", 1)
    return _attempt(endpoint, cursor, attempt)


def _attempt(endpoint: str, cursor: str, attempt: str) -> LoggedAttempt:
    """Parse the field documented in store/lua/shared/delivery_log.lua."""
    delivery, number, result, duration_ms = attempt.split(" ")
    at_ms = int(cursor.partition("-")[0])
    return LoggedAttempt(cursor, at_ms, delivery, endpoint, int(number), result, int(duration_ms))
