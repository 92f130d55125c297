"""One absolute point in time for a whole attempt, handed down to every wait in it."""

import time
from collections.abc import Callable

SLICE_SECONDS = 0.25
"""How long one wait lasts before it looks whether the worker was told to give up."""


class Interrupted(Exception):
    """The worker was told to give up while it waited; nothing is known of the attempt."""


class Deadline:
    """`seconds` from now on the monotonic clock; `give_up` is asked at every wait."""

    def __init__(self, seconds: float, give_up: Callable[[], bool]) -> None:
        self._ends = time.monotonic() + seconds
        self._give_up = give_up

    def remaining(self) -> float:
        """Seconds left; TimeoutError where there are none."""
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def slice(self) -> float:
        """How long to wait before coming back here; also Interrupted where the worker is to give up."""
        left = self.remaining()
        if self._give_up():
            raise Interrupted
        return min(left, SLICE_SECONDS)
