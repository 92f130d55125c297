"""What attempts come to, and how they are asked for by it."""

import re

DELIVERED, FAILED = "delivered", "failed"
ERRORS = ("timeout", "connection", "tls", "name_not_resolved", "address_refused", "bad_response")
"""What an attempt without a status came to, as the delivery processes call it."""
PLACES = ("open", "parked", "retry", "dead")
"""Where deliveries stand that are owed; lists are asked for these beside results."""
_STATUS = re.compile(r"[1-5][0-9][0-9]")


def is_status(text: str) -> bool:
    """Whether attempts can be asked for by it."""
    return text in (DELIVERED, FAILED, *ERRORS) or _STATUS.fullmatch(text) is not None


def is_wanted(status: str | None, result: str, *, delivered: bool) -> bool:
    """Whether an attempt that came to `result` is one of those that `status` asks for."""
    if status in (DELIVERED, FAILED):
        return delivered == (status == DELIVERED)
    return status in (None, result)
