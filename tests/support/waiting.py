"""Waiting for an event with a deadline, instead of sleeping."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_SECONDS = 0.01
PATIENCE_SECONDS = 40.0
"""Default deadline, for two busy cores; shorter than a ready key's TTL. Tests of a promised time pass theirs."""


def eventually(condition: Callable[[], T], within: float = PATIENCE_SECONDS, what: str = "the condition") -> T:
    """Return the first truthy result of `condition`. Raises AssertionError with `what` after `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not happen within {within} s (last: {result!r})")
        time.sleep(POLL_SECONDS)
