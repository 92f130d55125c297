"""What has to be done for the delivery processes from time to time, and what is told of them."""

from collections.abc import Callable, Sequence
from typing import Any

import redis

from hookfarm.farm.scoreboard import Slot, State
from hookfarm.store import keys
from hookfarm.webhook_delivery import counters
from hookfarm.webhook_delivery.rolling_quantiles import RecentTimes
from hookfarm.webhook_delivery.sweep import Sweep

PROMOTE_SECONDS = 0.25


def all_reported(run: str, workers: int) -> Callable[["redis.Redis"], bool]:
    """Whether the counter of `run` says that every worker has entered BRPOP."""
    return lambda client: int(client.get(keys.reported(run)) or 0) >= workers


def blocking_clients(slots: Sequence[Slot]) -> list[int]:
    """The connections that may be blocked in BRPOP; what one has popped is still delivered to it."""
    waiting = (s for s in slots if s.pid and s.activity == counters.POLLING and s.state == State.UP)
    return [slot.counter(counters.CLIENT_ID) for slot in waiting]


def forget_run(client: "redis.Redis", sweep: Sweep, run: str) -> None:
    """What this run of the farm kept in Redis goes with its last worker."""
    sweep.leave(client)
    client.delete(keys.reported(run))


class Report:
    """The delivery part of the status: totals since the farm started, what each worker does, latencies since
    the farm started and of the last seconds."""

    def __init__(self) -> None:
        self._posts, self._waits = RecentTimes(), RecentTimes()

    def __call__(self, slots: Sequence[Slot]) -> dict[str, Any]:
        posts = counters.histogram(slots, counters.POST_TIMES)
        waits = counters.histogram(slots, counters.QUEUE_TIMES)
        return {
            "delivered": _total(slots, counters.DELIVERED),
            "failed_attempts": _total(slots, counters.FAILED),
            "dead": _total(slots, counters.DEAD),
            "given_back": _total(slots, counters.GIVEN_BACK),
            "adopted": _total(slots, counters.ADOPTED),
            "activity": "".join(_letter(slot) for slot in slots if slot.state != State.EMPTY),
            "post_ms": _in_ms(_quantiles(posts)),
            "queued_to_delivered_ms": _in_ms(_quantiles(waits)),
            "recent_post_ms": _in_ms(self._posts.quantiles(posts)),
            "recent_queued_to_delivered_ms": _in_ms(self._waits.quantiles(waits)),
        }


def _total(slots: Sequence[Slot], counter: int) -> int:
    return sum(slot.counter(counter) for slot in slots)


def _quantiles(totals: Sequence[int]) -> dict[str, float | None]:
    return {"p50": counters.quantile_seconds(totals, 0.5), "p99": counters.quantile_seconds(totals, 0.99)}


def _in_ms(seconds: dict[str, float | None]) -> dict[str, int | None]:
    return {name: None if value is None else round(1000 * value) for name, value in seconds.items()}


def _letter(slot: Slot) -> str:
    """One worker in one letter: blocked in BRPOP, posting, restarting or stalled."""
    if slot.pid == 0 or slot.state == State.BOOTING:
        return "r"
    if slot.state != State.UP:
        return "s"
    return "p" if slot.activity == counters.POSTING else "b"
