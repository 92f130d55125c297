"""Waiting for an event with a deadline, so that no test ever sleeps for luck."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_SECONDS = 0.01
PATIENCE_SECONDS = 40.0
"""For two slow cores that others use too, and shorter than a ready key lives. A test of a promise has its own."""


def eventually(condition: Callable[[], T], within: float = PATIENCE_SECONDS, what: str = "the condition") -> T:
    """The first truthy result of `condition`; AssertionError with `what` after `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not happen within {within} s (last: {result!r})")
        time.sleep(POLL_SECONDS)
