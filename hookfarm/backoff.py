"""Exponential back-off with jitter, shared by all retry loops, and the parser of Retry-After. Pure."""

from datetime import UTC
from email.utils import parsedate_to_datetime

JITTER = 0.2
_MAX_DOUBLINGS = 30


def delay(failures: int, first: float, longest: float, chance: float) -> float:
    """Return the seconds to wait after `failures` earlier consecutive failures (0, 1, …).

    Each failure doubles `first`, up to `longest`; `chance` jitters the result.
    """
    return jittered(min(first * 2.0 ** min(failures, _MAX_DOUBLINGS), longest), chance)


def jittered(seconds: float, chance: float) -> float:
    """Return `seconds` ±20 %, so that processes which failed together do not retry together.

    `chance` is a random number from 0 to 1.
    """
    return seconds * (1 - JITTER + 2 * JITTER * chance)


def parse_retry_after(value: str, now: float, maximum: float) -> float | None:
    """Parse a Retry-After header, a number or a date (RFC 9110 section 10.2.3); return at most `maximum` seconds.

    `now` is Unix time. Returns None for any other value.
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
