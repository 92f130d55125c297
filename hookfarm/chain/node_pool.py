"""A chain's nodes: their order, cooldowns, and limits learned from their responses."""

import time
from collections.abc import Callable, Sequence
from itertools import zip_longest

from hookfarm.chain.budget import Budget
from hookfarm.chain.timing import backoff_seconds
from hookfarm.config import NodeConfig
from hookfarm.security.redaction import origin

MAX_BATCH_CALLS = 100
"""Calls in one batch. Nodes allow from 3 to 1,000; few document their limit."""
FIRST_REST_SECONDS = 30.0
MAX_REST_SECONDS = 3600.0
"""Time until larger batches are tried again. It doubles with each refusal: one that is not answered costs a
time-out."""

FAILURE_KINDS = ("refused", "rate_limited", "unavailable")

FIRST_RANGE_BLOCKS = 64
MAX_RANGE_BLOCKS = 10_000
MAX_FILTER_VALUES = 1_000
"""Addresses, or topics at one position, in one filter: the limit of geth and Erigon. Some nodes allow 10."""
FIRST_PATIENCE = 16
MAX_PATIENCE = 1_024
"""Ranges of the longest accepted length until a longer one is tried again: a refusal costs three requests."""
TARGET_LOGS = 4_000
"""Logs per response, about 2 MB; a larger one would delay the newest blocks."""


class TokenBucket:
    """Rate limit of one node: `per_second` requests on average, bursts of one second's worth.

    None = no limit. A batch takes all its tokens at once, into debt if necessary; later requests wait longer.
    """

    def __init__(self, per_second: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._clock = clock
        self._full = max(1.0, per_second or 1.0)
        self._tokens = self._full
        self._filled_at = clock()

    def reserve(self, requests: int) -> float:
        """Take the tokens and return the seconds to wait before sending."""
        if self._per_second is None:
            return 0.0
        now = self._clock()
        self._tokens = min(self._full, self._tokens + (now - self._filled_at) * self._per_second)
        self._filled_at = now
        self._tokens -= requests
        return max(0.0, -self._tokens / self._per_second)


class RangeSize:
    """Number of blocks per `eth_getLogs`, learned from a node's responses.

    A success doubles it until the first refusal, and adds an eighth afterwards while that is below the shortest
    refused length. A longer range follows after `_patience` successes, twice as many after each refusal. The range
    is expected to hold at most TARGET_LOGS.
    """

    def __init__(self, first: int = FIRST_RANGE_BLOCKS, maximum: int = MAX_RANGE_BLOCKS) -> None:
        self.blocks = first
        self._maximum = maximum
        self._served = 0
        """The longest range that was served and not refused later."""
        self._refused: int | None = None
        """The shortest range that was refused; None = none so far."""
        self._doubles = True
        self._patience = FIRST_PATIENCE
        self._successes = 0
        """At the present length, below the refused one."""

    def accepted(self, blocks: int, logs: int) -> None:
        """Record that a range of `blocks` was served with `logs` logs."""
        self._served = max(self._served, blocks)
        if self._refused is not None and blocks >= self._refused:
            self._refused, self._patience = None, FIRST_PATIENCE
        grown = self.blocks if blocks < self.blocks else self._grown()
        fitting = blocks * TARGET_LOGS // logs if logs else grown
        self.blocks = max(1, min(grown, fitting, self._maximum))

    def refused(self, blocks: int) -> None:
        """Record that a range of `blocks` was refused; ignored if the number is below `blocks` already.

        Sizes suggested in errors are ignored: they may equal the requested one.
        """
        self._doubles = False
        if blocks > self.blocks:
            return
        if blocks <= self._served:
            self._served = 0
        elif self._served and self._refused is not None:
            self._patience = min(2 * self._patience, MAX_PATIENCE)
        self._refused, self._successes = blocks, 0
        self.blocks = max(1, self._served, blocks // 2)

    def _grown(self) -> int:
        if self._doubles:
            return 2 * self.blocks
        longer = self.blocks + max(1, self.blocks // 8)
        if self._refused is None or longer < self._refused:
            return longer
        self._successes += 1
        return longer if self._successes > self._patience else self.blocks


class BatchSize:
    """Number of calls per batch, learned from a node's responses; 1 = the node refuses batches.

    A refused batch reduces it. After a rest it doubles with each full batch that is served.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.calls = MAX_BATCH_CALLS
        self._clock = clock
        self._rest_seconds = FIRST_REST_SECONDS
        self._grows_at = float("-inf")
        self._is_rate_limited = False

    def accepted(self, calls: int) -> None:
        """Record that a batch of so many calls was served."""
        self._is_rate_limited = False
        if calls < self.calls or self.calls == MAX_BATCH_CALLS or self._clock() < self._grows_at:
            return
        self.calls = min(2 * self.calls, MAX_BATCH_CALLS)
        if self.calls == MAX_BATCH_CALLS:
            self._rest_seconds = FIRST_REST_SECONDS

    def reduce(self, calls: int) -> None:
        """Record that a larger batch was refused; ignored unless it reduces the number."""
        if calls < self.calls:
            self.calls = max(1, calls)
            self._grows_at = self._clock() + self._rest_seconds
            self._rest_seconds = min(2 * self._rest_seconds, MAX_REST_SECONDS)

    def rate_limited(self, calls: int) -> None:
        """Record that a batch of so many calls was over the rate limit.

        The second one in a row reduces the number: some nodes respond so to any batch above their limit.
        """
        if self._is_rate_limited:
            self.reduce(calls // 2)
        self._is_rate_limited = True


class NodeProfile:
    """A node's URL and the limits learned about it; survives its connections."""

    def __init__(
        self,
        url: str,
        bucket: TokenBucket,
        config: NodeConfig | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """`clock` and `wall_clock` return monotonic and Unix time."""
        self.url = url
        self.origin = origin(url)
        self.config = config or NodeConfig()
        self.bucket = bucket
        self.budget = Budget(url, self.config.units_per_month, wall_clock)
        self.ranges = RangeSize()
        self.filtered_ranges = RangeSize()
        """Like `ranges`, for `eth_getLogs` with addresses or topics."""
        self.filter_addresses = MAX_FILTER_VALUES
        """Addresses in one filter of `eth_getLogs`; a refusal halves it."""
        self.unanswered_tags: dict[str, int] = {}
        """Tags without a block so far, with the head at the first call."""
        self.batches = BatchSize(clock)
        self.failures = 0
        """Consecutive failures."""
        self.cooldown_until = 0.0
        self.failed_at = float("-inf")
        self.on_call: Callable[[str], None] = lambda _method: None
        """Called with the method of each call, also for each call of a batch."""
        self.on_failure: Callable[[str], None] = lambda _kind: None
        """Called with one of FAILURE_KINDS for each failed call."""
        self.on_bytes: Callable[[int, int], None] = lambda _sent, _received: None
        """Called with the bytes of JSON sent to the node, and received from it."""

    def take(self, *methods: str) -> bool:
        """Count the calls of a request that is about to be sent; False = the monthly budget is used up."""
        if not self.budget.spend(sum(map(self.config.units, methods))):
            return False
        for method in methods:
            self.on_call(method)
        return True


class NodePool:
    """A chain's nodes by preference.

    A failure puts a node into cooldown: 0.1 s, 0.2 s … 10 s, or longer if the node requests it. A node whose
    monthly budget is used up rests until the turn of the month.
    """

    def __init__(
        self,
        urls: Sequence[str],
        requests_per_second: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        configs: Sequence[NodeConfig] = (),
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """`configs` are those of the first URLs. `clock` and `wall_clock` return monotonic and Unix time."""
        self._clock = clock
        self.all = tuple(
            NodeProfile(url, TokenBucket(requests_per_second, clock), config, clock, wall_clock)
            for url, config in zip_longest(urls, configs)
        )

    def next(self) -> tuple[NodeProfile, float]:
        """Return the first usable node, else the next one to be, and the seconds until then."""
        soonest = min(self.all, key=self._unusable_seconds)
        return soonest, self._unusable_seconds(soonest)

    def others(self, profile: NodeProfile) -> list[NodeProfile]:
        """Return the other usable nodes, by preference."""
        return [other for other in self.all if other is not profile and not self._unusable_seconds(other)]

    def _unusable_seconds(self, profile: NodeProfile) -> float:
        """Return the seconds until the node is out of cooldown and has a budget; 0.0 = now."""
        return max(0.0, profile.cooldown_until - self._clock(), profile.budget.rest_seconds())

    def preferred_to(self, profile: NodeProfile, after_seconds: float) -> NodeProfile | None:
        """Return the first node preferred to this one whose last failure is older than `after_seconds`.

        Each consecutive failure doubles that time. None if there is no such node.
        """
        now = self._clock()
        for other in self.all:
            if other is profile:
                return None
            patience = after_seconds * 2.0 ** min(max(other.failures - 1, 0), 5)
            if other.failed_at + patience <= now and not self._unusable_seconds(other):
                return other
        return None

    def failed(self, profile: NodeProfile, chance: float, cooldown_seconds: float | None = None) -> float:
        """Record a failure and return the node's cooldown in seconds.

        `chance` as for `backoff_seconds`; `cooldown_seconds` is the pause that the node requested.
        """
        now = self._clock()
        pause = backoff_seconds(profile.failures, chance)
        profile.failures += 1
        profile.failed_at = now
        cooldown = pause if cooldown_seconds is None else max(cooldown_seconds, pause)
        profile.cooldown_until = now + cooldown
        return cooldown

    def succeeded(self, profile: NodeProfile) -> None:
        """Reset the node's count of consecutive failures."""
        profile.failures = 0
