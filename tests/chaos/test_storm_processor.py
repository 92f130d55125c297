"""The message processor dies while it turns events into jobs."""

import time
from dataclasses import dataclass

from tests.chaos.arena import PROCESSOR_TITLE, Arena, assert_in_order, standing
from tests.chaos.sizes import sizes

FAN_OUT = 50


@dataclass(frozen=True)
class Storm:
    workers: int
    seconds: float
    per_second: float
    every_seconds: float = 0.1


@sizes(
    short=Storm(10, seconds=3, per_second=500),
    full=Storm(50, seconds=30, per_second=1000),
)
def test_a_processor_killed_all_the_time_makes_one_job_of_each_event_and_endpoint(
    arena: Arena, size: Storm
) -> None:
    """No worker dies, so whatever arrives twice was enqueued twice."""
    farm = arena.farm(size.workers)
    before = standing(farm)
    with arena.load(FAN_OUT, FAN_OUT) as load:
        killer = arena.killer(farm, PROCESSOR_TITLE, sockets=2)  # Its loop has begun: it reads and writes.
        with load.at(size.per_second):
            for _ in killer.storm(size.every_seconds, size.seconds):
                time.sleep(arena.chance.uniform(0, size.every_seconds))  # Else each dies at the same point.
        found = arena.conclude(
            "message processor killed, fan-out 50",
            load,
            kills=killer.kills,
            conditions=f"{size.per_second:.0f}/s, {size.workers} workers, a kill every 100 ms",
        )
    found.assert_right(deaths=0)
    assert_in_order(farm, before, size.workers)
    assert farm.stop() == 0
    assert not farm.survivors()
