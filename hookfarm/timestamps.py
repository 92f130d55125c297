"""Parsing and formatting of times: RFC 3339 in UTC outside, ms or seconds since the epoch inside."""

import re
import time
from datetime import UTC, datetime
from typing import Any

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*(ms|s|m|h|d)?")


def format_ms(at_ms: int) -> str:
    """Return `2026-11-22T18:00:00.123Z`."""
    seconds, ms = divmod(at_ms, 1000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{ms:03d}Z"


def format_seconds(at: float) -> str:
    """Return `2026-11-22T18:00:00.123Z`, from Unix time."""
    return format_ms(round(at * 1e6) // 1000)


def format_whole_seconds(at: int) -> str:
    """Return `2026-11-22T18:00:00Z`, from Unix time."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


def parse(text: str) -> float:
    """Return the Unix time of an ISO 8601 time; UTC without an offset. Raises ValueError."""
    at = datetime.fromisoformat(text)
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def parse_ms(text: str) -> int:
    """Return ms since the epoch of an ISO 8601 time. Raises ValueError."""
    return round(parse(text) * 1000)


def parse_duration(raw: Any) -> float:
    """Return seconds, from a number or from `250ms`, `5s`, `2m`, `10h`, `7d`. Raises ValueError."""
    found = _DURATION.fullmatch(str(raw).strip())
    if isinstance(raw, bool) or not found:
        raise ValueError(f"{raw!r} is not a duration; write 250ms, 5s, 2m, 10h or 7d")
    return float(found[1]) * _UNITS[found[2] or "s"]


def parse_since(text: str, now: float) -> int:
    """Return ms since the epoch, from a duration before `now` or an ISO 8601 time. Raises ValueError."""
    try:
        at = now - parse_duration(text)
    except ValueError:
        at = parse(text)
    return max(0, int(at * 1000))
