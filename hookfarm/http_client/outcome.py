"""What an attempt came to and what follows from it. The worker performs what is decided here.

2xx is delivered. 410 means the endpoint is gone: it is disabled and the job is dead. Every other status
(redirects are not followed, so 3xx too) and every transport error is tried again on the schedule, because
receivers deploy bugs: a 404 at noon is a 200 at one.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from hookfarm.deliveries.filters import TRANSPORT_ERRORS
from hookfarm.delivery_queue import Verdict
from hookfarm.http_client import retry_schedule
from hookfarm.security import redaction

KEPT_REPLY_BYTES = 1024
_LOOKED_AT_BYTES = KEPT_REPLY_BYTES + 2048
"""A secret that begins in what is kept may end behind it; no header's value is longer than that."""
KINDS = ("3xx", "4xx", "5xx", "other_status", *TRANSPORT_ERRORS)
"""What a failed attempt may have come to, in a word for metrics."""


class Response(NamedTuple):
    """The endpoint answered. `excerpt` is the beginning of the body."""

    status: int
    retry_after: str | None = None
    excerpt: bytes = b""


@dataclass(frozen=True)
class TransportError:
    """The endpoint did not answer, or not in HTTP. `kind` is one of TRANSPORT_ERRORS, `detail` is for people."""

    kind: str
    detail: str


Result = Response | TransportError


@dataclass(frozen=True)
class Decision:
    """What to do with the job. Not delivered and no `retry_in_seconds`: it is dead, for `reason`."""

    delivered: bool
    retry_in_seconds: float | None = None
    reason: str | None = None
    disable_endpoint: bool = False


DELIVERED = Decision(delivered=True)


def decide(result: Result, attempt: int, schedule: Sequence[float], chance: float, now: float) -> Decision:
    """`attempt` counts from 1; `chance` is a random number from 0 to 1; `now` is Unix time."""
    if isinstance(result, Response):
        if 200 <= result.status < 300:
            return DELIVERED
        if result.status == 410:
            return Decision(delivered=False, reason="endpoint_gone", disable_endpoint=True)
    asked = result.retry_after if isinstance(result, Response) else None
    retry_after = None if asked is None else retry_schedule.parse_retry_after(asked, now)
    wait = retry_schedule.wait_seconds(schedule, attempt, chance, retry_after)
    return Decision(delivered=False, retry_in_seconds=wait, reason=None if wait is not None else "exhausted")


def verdict(result: Result) -> Verdict:
    """What an attempt that failed says of its endpoint: a 4xx other than 429 is the answer of one that works."""
    if isinstance(result, TransportError) or result.status == 429 or result.status >= 500:
        return Verdict.FAILED
    return Verdict.ANSWERED


def kind(result: Result) -> str:
    """Which of KINDS an attempt that failed is."""
    if isinstance(result, TransportError):
        return result.kind
    hundreds = f"{result.status // 100}xx"
    return hundreds if hundreds in KINDS else "other_status"


def without(result: Result, secrets: Collection[str]) -> Result:
    """The same, with these secrets blanked in what was said: many a receiver answers with what it was sent.

    What is kept of a reply is read by more people than may know the headers of the request.
    """
    if isinstance(result, TransportError):
        return replace(result, detail=redaction.blank(result.detail, secrets))
    said = result.excerpt[:_LOOKED_AT_BYTES].decode("utf-8", "surrogateescape")
    blanked = redaction.blank(said, secrets)
    if blanked == said:
        return result  # As nearly always.
    return result._replace(excerpt=blanked.encode("utf-8", "surrogateescape"))


def describe(result: Result) -> dict[str, str | int]:
    """The outcome as the job and the delivery log keep it: `status`, or `error`, and `detail`, what was said."""
    if isinstance(result, TransportError):
        return {"error": result.kind, "detail": result.detail[:KEPT_REPLY_BYTES]}
    return {"status": result.status, "detail": result.excerpt[:KEPT_REPLY_BYTES].decode("utf-8", "replace")}
