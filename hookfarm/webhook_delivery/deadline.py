"""One absolute point in time for a whole attempt, handed down to every wait in it."""

import time


class Deadline:
    """`seconds` from now on the monotonic clock. `interrupted` may be set from a signal handler."""

    def __init__(self, seconds: float) -> None:
        self._ends = time.monotonic() + seconds

    def remaining(self) -> float:
        """Seconds left; TimeoutError where there are none."""
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left
