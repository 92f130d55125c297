"""How often one node may be asked."""

import time
from collections.abc import Callable


class TokenBucket:
    """`per_second` requests on average, and as many at once as a second gives; None = no limit.

    A batch is taken whole, into debt where it must: those who come after it wait the longer.
    """

    def __init__(self, per_second: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._clock = clock
        self._full = max(1.0, per_second or 1.0)
        self._tokens = self._full
        self._filled_at = clock()

    def reserve(self, requests: int) -> float:
        """Takes the tokens; the seconds to wait before they may be used."""
        if self._per_second is None:
            return 0.0
        now = self._clock()
        self._tokens = min(self._full, self._tokens + (now - self._filled_at) * self._per_second)
        self._filled_at = now
        self._tokens -= requests
        return max(0.0, -self._tokens / self._per_second)
