"""Exponential back-off with jitter, shared by all retry loops, and the parser of Retry-After. Pure."""

from datetime import UTC
from email.utils import parsedate_to_datetime

JITTER = 0.2
_MAX_DOUBLINGS = 30


def delay(failures: int, first: float, longest: float, chance: float) -> float:
    """Return the seconds to wait after `failures` earlier failures in a row (0, 1, …).

    `first`, doubled by each failure up to `longest`, and jittered by `chance`.
    """
    return jittered(min(first * 2.0 ** min(failures, _MAX_DOUBLINGS), longest), chance)


def jittered(seconds: float, chance: float) -> float:
    """Return `seconds` ±20 %, so that processes that failed together do not retry together.

    `chance` is a random number from 0 to 1.
    """
    return seconds * (1 - JITTER + 2 * JITTER * chance)


def parse_retry_after(value: str, now: float, maximum: float) -> float | None:
    """Return the seconds of a Retry-After header, a number or a date (RFC 9110 section 10.2.3), at most `maximum`.

    `now` is Unix time. Returns None if the header is neither.
    """
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text), maximum)
    try:
        date = parsedate_to_datetime(text)
        seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(0.0, seconds), maximum)
