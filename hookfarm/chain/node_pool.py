"""A chain's nodes: which of their URLs to use, what is known of their health and of their habits."""

import time
from collections.abc import Callable, Sequence

from hookfarm.chain.ranges import RangeSize
from hookfarm.chain.timing import pause_seconds
from hookfarm.chain.token_bucket import TokenBucket
from hookfarm.security.redaction import origin

MAX_BATCH_CALLS = 100
"""In one batch. NodePool allow from 3 to 1,000, and few say so."""

FAILURE_KINDS = ("refused", "rate_limited", "unavailable")


class NodeProfile:
    """One URL, and what was learned of it, which outlives every connection to it."""

    def __init__(self, url: str, bucket: TokenBucket) -> None:
        self.url = url
        self.origin = origin(url)
        self.bucket = bucket
        self.ranges = RangeSize()
        self.batch_calls = MAX_BATCH_CALLS
        """How many calls a batch may hold; 1 = batches are refused."""
        self.failures = 0
        """In a row."""
        self.cooldown_until = 0.0
        self.failed_at = float("-inf")
        self.on_call: Callable[[str], None] = lambda _method: None
        """Told of each call that is made, each one of a batch too."""
        self.on_failure: Callable[[str], None] = lambda _kind: None
        """Told which of FAILURE_KINDS a call came back with, or what came instead of an answer."""


class NodePool:
    """In the order of preference. One that failed rests: 0.1 s, 0.2 s … 10 s, or as long as it asked for."""

    def __init__(
        self,
        urls: Sequence[str],
        requests_per_second: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self.all = tuple(NodeProfile(url, TokenBucket(requests_per_second, clock)) for url in urls)

    def next(self) -> tuple[NodeProfile, float]:
        """The first one that does not rest, else the one whose rest ends first; and how long that still takes."""
        now = self._clock()
        for profile in self.all:
            if profile.cooldown_until <= now:
                return profile, 0.0
        soonest = min(self.all, key=lambda profile: profile.cooldown_until)
        return soonest, soonest.cooldown_until - now

    def others(self, profile: NodeProfile) -> list[NodeProfile]:
        """Those but this one that do not rest, by preference."""
        now = self._clock()
        return [other for other in self.all if other is not profile and other.cooldown_until <= now]

    def preferred_to(self, profile: NodeProfile, after_seconds: float) -> NodeProfile | None:
        """The best one before this one that has not failed for so long (doubled with each failure in a row)."""
        now = self._clock()
        for other in self.all:
            if other is profile:
                return None
            patience = after_seconds * 2.0 ** min(max(other.failures - 1, 0), 5)
            if max(other.failed_at + patience, other.cooldown_until) <= now:
                return other
        return None

    def failed(self, profile: NodeProfile, jitter: float, cooldown_seconds: float | None = None) -> float:
        """`jitter` as for `pause_seconds`; `rest_seconds` is what the node asked for, if it did. For how many
        seconds it rests now."""
        now = self._clock()
        pause = pause_seconds(profile.failures, jitter)
        profile.failures += 1
        profile.failed_at = now
        rest = pause if cooldown_seconds is None else max(cooldown_seconds, pause)
        profile.cooldown_until = now + rest
        return rest

    def succeeded(self, profile: NodeProfile) -> None:
        """It has been of use for a while: its next failure is a new one, not one more."""
        profile.failures = 0
