"""One absolute point in time for a whole attempt, handed down to every wait in it."""

import time
from collections.abc import Callable

SLICE_SECONDS = 0.25
"""How long one wait lasts before it checks for a cancellation."""


class Interrupted(Exception):
    """The attempt was cancelled while it waited; its result is unknown."""


class Deadline:
    """`seconds` from now on the monotonic clock; `is_cancelled` is called at every wait."""

    def __init__(self, seconds: float, is_cancelled: Callable[[], bool]) -> None:
        self._ends = time.monotonic() + seconds
        self._is_cancelled = is_cancelled

    def remaining(self) -> float:
        """Seconds left. Raises TimeoutError if there are none."""
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def slice(self) -> float:
        """How long to wait before the next call. Also raises Interrupted if the attempt is cancelled."""
        left = self.remaining()
        if self._is_cancelled():
            raise Interrupted
        return min(left, SLICE_SECONDS)
