"""Exponential back-off with jitter: one rule for every retry loop of the farm. Pure."""

JITTER = 0.2
_MAX_DOUBLINGS = 30


def delay(failures: int, first: float, longest: float, chance: float) -> float:
    """Seconds to wait after `failures` earlier failures in a row (0, 1, …).

    `first`, doubled by each failure up to `longest`, and jittered by `chance`.
    """
    return jittered(min(first * 2.0 ** min(failures, _MAX_DOUBLINGS), longest), chance)


def jittered(seconds: float, chance: float) -> float:
    """`seconds` ±20 %, so that processes that failed together do not retry together.

    `chance` is a random number from 0 to 1.
    """
    return seconds * (1 - JITTER + 2 * JITTER * chance)
