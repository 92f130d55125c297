"""Filters of attempts and dead letters, as the command line and the API apply them."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hookfarm.deliveries.log import LoggedAttempt

DELIVERED, FAILED = "delivered", "failed"
TRANSPORT_ERRORS = ("timeout", "connection", "tls", "name_not_resolved", "address_refused", "bad_response")
"""Errors of an attempt that got no HTTP status."""
LISTED_STATES = ("open", "parked", "retry", "dead")
"""States of undelivered deliveries that can be listed."""
LAST_MS = 10**15 - 1
"""The year 33658."""
_STATUS = re.compile(r"[1-5][0-9][0-9]")


def is_status(text: str) -> bool:
    """Whether `text` is a value of AttemptFilter.status."""
    return text in (DELIVERED, FAILED, *TRANSPORT_ERRORS) or _STATUS.fullmatch(text) is not None


@dataclass(frozen=True)
class AttemptFilter:
    """Attempts of some endpoints (none = all), with a status, within a span of time in ms.

    `status`: `delivered`, `failed`, an HTTP status or one of TRANSPORT_ERRORS.
    """

    endpoints: tuple[str, ...] = ()
    status: str | None = None
    since_ms: int = 0
    until_ms: int | None = None

    def matches(self, attempt: "LoggedAttempt") -> bool:
        """Compare the status. Endpoints and times limit what is read."""
        if self.status in (DELIVERED, FAILED):
            return attempt.delivered == (self.status == DELIVERED)
        return self.status in (None, attempt.result)


@dataclass(frozen=True)
class DeadLetterFilter:
    """Dead letters of one endpoint ("" = invalid jobs), for a reason, within a span of time in ms.

    `reason`: the whole of it, or the part before its colon.
    """

    endpoint: str | None = None
    reason: str | None = None
    since_ms: int = 0
    until_ms: int = LAST_MS

    def matches_reason(self, reason: str) -> bool:
        return self.reason is None or self.reason in (reason, reason.partition(":")[0])
