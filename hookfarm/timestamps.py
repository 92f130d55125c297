"""Moments as people and programs write them."""

from datetime import UTC, datetime

from hookfarm import config


def since_ms(text: str, now: float) -> int:
    """ms since the epoch, from a duration before `now` or an ISO 8601 moment; ValueError where it is neither."""
    try:
        at = now - config.duration(text)
    except ValueError:
        moment = datetime.fromisoformat(text)
        at = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return max(0, int(at * 1000))


def unix_ms(text: str) -> int:
    """Milliseconds since the epoch of an RFC 3339 time."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def iso(at_ms: int) -> str:
    """UTC, ISO 8601 to the millisecond."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
