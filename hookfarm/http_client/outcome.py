"""Result of an attempt (Response or TransportError) and the outcome that follows from it; without I/O.

- 2xx: delivered.
- 410: the endpoint is gone. It is disabled, and the job becomes a dead letter.
- Every other status and every transport error: retried on the schedule. Redirects (3xx) are not followed.
  A 404 is retried because it may be a bug in the receiver's current release.

The default schedule is 5 s, 30 s, 2 m, 10 m, 30 m, 2 h, 5 h, 10 h, each ±20 %: nine attempts in about 18 hours.
Then the job becomes a dead letter. Retry-After can lengthen a delay, up to MAX_RETRY_AFTER_SECONDS.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

from hookfarm.backoff import jittered, parse_retry_after
from hookfarm.deliveries.filters import TRANSPORT_ERRORS
from hookfarm.delivery_queue import HealthSignal
from hookfarm.security import redaction

MAX_EXCERPT_BYTES = 1024
_MAX_SCANNED_BYTES = MAX_EXCERPT_BYTES + 2048
"""A secret may begin in the excerpt and end behind it; no header value is longer than 2,048 bytes."""
MAX_RETRY_AFTER_SECONDS = 24 * 3600.0
METRIC_LABELS = ("3xx", "4xx", "5xx", "other_status", *TRANSPORT_ERRORS)
"""Labels of failed attempts in metrics."""


class Response(NamedTuple):
    """An HTTP response. `excerpt` is the beginning of the body."""

    status: int
    retry_after: str | None = None
    excerpt: bytes = b""

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    @property
    def status_or_error(self) -> int | str:
        return self.status

    @property
    def health_signal(self) -> HealthSignal:
        """Signal of a failed attempt: a 4xx other than 429 is HEALTHY, everything else UNHEALTHY."""
        if self.status == 429 or self.status >= 500:
            return HealthSignal.UNHEALTHY
        return HealthSignal.HEALTHY

    @property
    def metric_label(self) -> str:
        """Label of a failed attempt, one of METRIC_LABELS."""
        status_class = f"{self.status // 100}xx"
        return status_class if status_class in METRIC_LABELS else "other_status"

    @property
    def may_echo(self) -> bool:
        """Whether the excerpt is long enough to contain a secret."""
        return len(self.excerpt) >= redaction.MIN_SECRET_LENGTH

    def redacted(self, secrets: Collection[str]) -> "Response":
        """Return the response with these secrets redacted from the excerpt.

        Many receivers echo the request. Readers of the excerpt may not be entitled to see the request's headers.
        """
        text = self.excerpt[:_MAX_SCANNED_BYTES].decode("utf-8", "surrogateescape")
        redacted = redaction.redact(text, secrets)
        if redacted == text:
            return self  # The usual case.
        return self._replace(excerpt=redacted.encode("utf-8", "surrogateescape"))

    def to_record(self) -> dict[str, str | int]:
        """Return the fields `status` and `detail` of the attempt, for the job and the delivery log."""
        return {"status": self.status, "detail": self.excerpt[:MAX_EXCERPT_BYTES].decode("utf-8", "replace")}


@dataclass(frozen=True)
class TransportError:
    """An attempt without an HTTP response. `kind` is one of TRANSPORT_ERRORS, `detail` the error message."""

    kind: str
    detail: str

    status: ClassVar[None] = None
    retry_after: ClassVar[None] = None
    is_success: ClassVar[bool] = False
    health_signal: ClassVar[HealthSignal] = HealthSignal.UNHEALTHY
    may_echo: ClassVar[bool] = True

    @property
    def status_or_error(self) -> int | str:
        return self.kind

    @property
    def metric_label(self) -> str:
        """Label of the error, one of METRIC_LABELS."""
        return self.kind

    def redacted(self, secrets: Collection[str]) -> "TransportError":
        """Return the error with these secrets redacted from its detail."""
        return replace(self, detail=redaction.redact(self.detail, secrets))

    def to_record(self) -> dict[str, str | int]:
        """Return the fields `error` and `detail` of the attempt, for the job and the delivery log."""
        return {"error": self.kind, "detail": self.detail[:MAX_EXCERPT_BYTES]}


Result = Response | TransportError


@dataclass(frozen=True)
class Decision:
    """Outcome of an attempt: delivered, retried in `retry_in_seconds`, or a dead letter with `reason`."""

    delivered: bool
    retry_in_seconds: float | None = None
    reason: str | None = None
    disable_endpoint: bool = False


DELIVERED = Decision(delivered=True)


def decide(result: Result, attempt: int, schedule: Sequence[float], chance: float, now: float) -> Decision:
    """Return the outcome of an attempt.

    `attempt` counts from 1 since the last redelivery; `chance` is a random number from 0 to 1; `now` is Unix time.
    """
    if result.is_success:
        return DELIVERED
    if result.status == 410:
        return Decision(delivered=False, reason="endpoint_gone", disable_endpoint=True)
    retry_after = result.retry_after and parse_retry_after(result.retry_after, now, MAX_RETRY_AFTER_SECONDS)
    wait = retry_delay(schedule, attempt, chance, retry_after or 0.0)
    return Decision(delivered=False, retry_in_seconds=wait, reason=None if wait is not None else "exhausted")


def retry_delay(
    schedule: Sequence[float], attempt: int, chance: float, retry_after_seconds: float = 0.0
) -> float | None:
    """Return the delay in seconds after attempt number `attempt` (from 1). Returns None after the last attempt.

    `chance` is a random number from 0 to 1. The delay is at least `retry_after_seconds`.
    """
    if attempt > len(schedule):
        return None
    return max(jittered(schedule[attempt - 1], chance), retry_after_seconds)
