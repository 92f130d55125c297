"""What a worker tells the ledger about a job that it has done with, one way or another."""

import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

import orjson

from hookfarm.delivery_queue.job import Taken, encode
from hookfarm.store.clients import Exchange, ResponseError
from hookfarm.store.scripts import Script

GIVE_UP = 2
"""The answer to a settlement whose endpoint has done nothing but fail for too long."""
_FOREVER_SECONDS = 100 * 365 * 86_400.0

_SETTLE_DELIVERED = Script("settle_delivered", "facts", "places", "ledger", "log")
_SETTLE_FAILED = Script("settle_failed", "facts", "places", "ledger", "log")
_GIVE_BACK = Script("give_back", "facts", "ledger")
_PARK = Script("park", "facts", "ledger")
SCRIPTS = (_SETTLE_DELIVERED, _SETTLE_FAILED, _GIVE_BACK, _PARK)


class Attempt(NamedTuple):
    """One POST as the log keeps it: its number, an HTTP status or the word for an error, and ms it took.

    `outcome` is the same with everything else that is known of it.
    """

    number: int
    status: int | str
    duration_ms: int
    outcome: dict[str, Any]


class Verdict(StrEnum):
    """What an attempt that failed says of its endpoint."""

    FAILED = "failed"
    """It is in trouble: no answer, a 5xx, a 429."""
    ANSWERED = "answered"
    """It works, and did not want this one."""
    NONE = "none"
    """Nothing: it was not asked."""


@dataclass(slots=True)
class Settlement:
    """What to tell the ledger about the last job; kept until Redis has answered it."""

    script: Script
    packed: bytes = field(repr=False)
    endpoint: str = ""


def confirm(exchange: Exchange) -> int | None:
    """Reads the settlement's answer; None = not done, settle again."""
    reply = exchange.receive()
    return None if isinstance(reply, ResponseError) else int(reply)


def settle_now(exchange: Exchange, settlement: Settlement) -> int:
    """Settles in a round trip of its own, teaching the server the script first; returns the answer."""
    exchange.send(settlement.script.packed_load() + settlement.packed)
    exchange.receive()
    reply = exchange.receive()
    if isinstance(reply, ResponseError):
        raise reply
    return int(reply)


def delivered(taken: Taken, attempt: Attempt, keep: int) -> Settlement:
    """It is done: out of the ledger and into the log, which keeps `keep` attempts an endpoint. Idempotent."""
    outcome = orjson.dumps(attempt.outcome)
    arguments = (taken.id, taken.endpoint, keep, outcome, attempt.number, attempt.status, attempt.duration_ms)
    return Settlement(_SETTLE_DELIVERED, _SETTLE_DELIVERED.packed((), arguments), taken.endpoint)


def failed(
    taken: Taken,
    job: bytes,
    retry_in_seconds: float | None,
    verdict: Verdict = Verdict.FAILED,
    attempt: Attempt | None = None,
    keep: int = 0,
    give_up_seconds: float = math.inf,
) -> Settlement:
    """Keeps `job` for another attempt, or as a dead letter. Nothing happens if it was requeued meanwhile.

    The answer is GIVE_UP where the endpoint has only failed for `give_up_seconds`.
    """
    wait = "" if retry_in_seconds is None else int(retry_in_seconds * 1000)
    give_up = int(min(give_up_seconds, _FOREVER_SECONDS) * 1000)
    logged = (keep, attempt.number, attempt.status, attempt.duration_ms) if attempt else (0, 0, "", 0)
    arguments = (taken.id, taken.sequence, taken.endpoint, job, wait, verdict.value, give_up, *logged)
    return Settlement(_SETTLE_FAILED, _SETTLE_FAILED.packed((), arguments), taken.endpoint)


def give_back(taken: Taken, interrupted: bool = False) -> Settlement:
    """Puts it into the list again, unattempted, or `interrupted` in its attempt.

    Nothing happens if it was requeued meanwhile.
    """
    changed = (encode({**taken.header, "interrupted": True}, taken.body),) if interrupted else ()
    arguments = (taken.id, taken.sequence, *changed)
    return Settlement(_GIVE_BACK, _GIVE_BACK.packed((), arguments), taken.endpoint)


def park(taken: Taken) -> Settlement:
    """Keeps it, unattempted, until its endpoint is enabled. Nothing happens if it was requeued meanwhile."""
    return Settlement(_PARK, _PARK.packed((), (taken.id, taken.sequence, taken.endpoint)), taken.endpoint)
