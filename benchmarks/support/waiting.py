"""Polling of conditions."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(condition: Callable[[], T], what: str, within_seconds: float = 30.0, every_seconds: float = 0.02) -> T:
    """Return the first truthy result of `condition`. Raises TimeoutError that names `what`."""
    deadline = time.monotonic() + within_seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen within {within_seconds:g} s")
        time.sleep(every_seconds)
