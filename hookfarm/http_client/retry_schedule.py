"""When a failed delivery is tried again: a pure function of the schedule.

The default is 5 s, 30 s, 2 m, 10 m, 30 m, 2 h, 5 h, 10 h, each ±20 %: nine attempts over about eighteen hours,
then the job is dead. An endpoint that says when (Retry-After) is taken at its word, up to a day.
"""

from collections.abc import Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime

JITTER = 0.2
LONGEST_RETRY_AFTER_SECONDS = 24 * 3600.0


def wait_seconds(
    schedule: Sequence[float], attempt: int, chance: float, retry_after: float | None
) -> float | None:
    """Seconds until the attempt after attempt number `attempt` (from 1), or None: there is none.

    `chance` is a random number from 0 to 1. `retry_after` is what the endpoint asked for, in seconds.
    """
    if attempt > len(schedule):
        return None
    wait = schedule[attempt - 1] * (1 - JITTER + 2 * JITTER * chance)
    if retry_after is None:
        return wait
    return max(wait, min(retry_after, LONGEST_RETRY_AFTER_SECONDS))


def parse_retry_after(value: str, now: float) -> float | None:
    """Seconds of a Retry-After header, a number or a date (RFC 9110 section 10.2.3); None where it is neither.

    `now` is Unix time.
    """
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        date = parsedate_to_datetime(text)
        return max(0.0, (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return None
