"""Filters of attempts and dead letters, for the command line and the API."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hookfarm.deliveries.log import LoggedAttempt

DELIVERED, FAILED = "delivered", "failed"
TRANSPORT_ERRORS = ("timeout", "connection", "tls", "name_not_resolved", "address_refused", "bad_response")
"""Errors of an attempt without an HTTP status."""
LISTED_STATES = ("open", "parked", "retry", "dead")
"""States of undelivered deliveries that can be listed."""
LAST_MS = 10**15 - 1
"""Latest time in filters: the year 33658."""
_STATUS = re.compile(r"[1-5][0-9][0-9]")


def is_status(text: str) -> bool:
    """Return whether `text` is a value of AttemptFilter.status."""
    return text in (DELIVERED, FAILED, *TRANSPORT_ERRORS) or _STATUS.fullmatch(text) is not None


@dataclass(frozen=True)
class AttemptFilter:
    """A filter of attempts: endpoints (empty = all), status, and a time span in ms.

    `status`: `delivered`, `failed`, an HTTP status or one of TRANSPORT_ERRORS.
    """

    endpoints: tuple[str, ...] = ()
    status: str | None = None
    since_ms: int = 0
    until_ms: int | None = None

    def matches(self, attempt: "LoggedAttempt") -> bool:
        """Return whether the status matches. Reading already applies endpoints and times."""
        if self.status in (DELIVERED, FAILED):
            return attempt.delivered == (self.status == DELIVERED)
        return self.status in (None, attempt.result)


@dataclass(frozen=True)
class DeadLetterFilter:
    """A filter of dead letters: endpoint ("" = invalid jobs), reason, and a time span in ms.

    `reason`: the whole text, or the part before its colon.
    """

    endpoint: str | None = None
    reason: str | None = None
    since_ms: int = 0
    until_ms: int = LAST_MS

    def matches_reason(self, reason: str) -> bool:
        return self.reason is None or self.reason in (reason, reason.partition(":")[0])
