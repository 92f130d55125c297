"""The result of an attempt (a Response or a TransportError), and the outcome that follows from it. Pure.

2xx is delivered. 410 means the endpoint is gone: it is disabled and the job is dead. Every other status
(redirects are not followed, so 3xx too) and every transport error is tried again on the schedule, because
receivers deploy bugs: a 404 at noon is a 200 at one.

The default schedule is 5 s, 30 s, 2 m, 10 m, 30 m, 2 h, 5 h, 10 h, each ±20 %: nine attempts over about eighteen
hours, then the job is dead. A Retry-After of the endpoint can make a delay longer, up to a day.
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
"""A secret that begins in the excerpt may end behind it; no header's value is longer than that."""
MAX_RETRY_AFTER_SECONDS = 24 * 3600.0
METRIC_LABELS = ("3xx", "4xx", "5xx", "other_status", *TRANSPORT_ERRORS)
"""The kinds of failed attempts that metrics count."""


class Response(NamedTuple):
    """The endpoint responded. `excerpt` is the beginning of the body."""

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
        """Of a failed attempt. A 4xx other than 429 is the response of a server that works."""
        if self.status == 429 or self.status >= 500:
            return HealthSignal.UNHEALTHY
        return HealthSignal.HEALTHY

    @property
    def metric_label(self) -> str:
        """One of METRIC_LABELS; of a failed attempt."""
        status_class = f"{self.status // 100}xx"
        return status_class if status_class in METRIC_LABELS else "other_status"

    @property
    def may_echo(self) -> bool:
        """Whether the excerpt is long enough to hold a secret."""
        return len(self.excerpt) >= redaction.MIN_SECRET_LENGTH

    def redacted(self, secrets: Collection[str]) -> "Response":
        """The same response without these secrets in its excerpt: many receivers echo the request.

        The excerpt is read by more people than may know the headers of the request.
        """
        text = self.excerpt[:_MAX_SCANNED_BYTES].decode("utf-8", "surrogateescape")
        redacted = redaction.redact(text, secrets)
        if redacted == text:
            return self  # As nearly always.
        return self._replace(excerpt=redacted.encode("utf-8", "surrogateescape"))

    def to_record(self) -> dict[str, str | int]:
        """The fields `status` and `detail` of the attempt in the job and in the delivery log."""
        return {"status": self.status, "detail": self.excerpt[:MAX_EXCERPT_BYTES].decode("utf-8", "replace")}


@dataclass(frozen=True)
class TransportError:
    """The endpoint did not respond in HTTP. `kind` is one of TRANSPORT_ERRORS, `detail` is for people."""

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
        """One of METRIC_LABELS."""
        return self.kind

    def redacted(self, secrets: Collection[str]) -> "TransportError":
        """The same error without these secrets in its detail."""
        return replace(self, detail=redaction.redact(self.detail, secrets))

    def to_record(self) -> dict[str, str | int]:
        """The fields `error` and `detail` of the attempt in the job and in the delivery log."""
        return {"error": self.kind, "detail": self.detail[:MAX_EXCERPT_BYTES]}


Result = Response | TransportError


@dataclass(frozen=True)
class Decision:
    """The outcome of an attempt. Not delivered and no `retry_in_seconds`: the job is dead, for `reason`."""

    delivered: bool
    retry_in_seconds: float | None = None
    reason: str | None = None
    disable_endpoint: bool = False


DELIVERED = Decision(delivered=True)


def decide(result: Result, attempt: int, schedule: Sequence[float], chance: float, now: float) -> Decision:
    """Return what to do with the job after this result.

    `attempt` counts from 1; `chance` is a random number from 0 to 1; `now` is Unix time.
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
    """Seconds until the attempt that follows attempt number `attempt` (from 1). Returns None after the last one.

    `chance` is a random number from 0 to 1. The delay is at least `retry_after_seconds`.
    """
    if attempt > len(schedule):
        return None
    return max(jittered(schedule[attempt - 1], chance), retry_after_seconds)
