"""Workers die by SIGKILL, one after another, while they deliver."""

import time
from dataclasses import dataclass

from tests.chaos.arena import ENDPOINTS, Arena, assert_in_order, standing
from tests.chaos.control import storm_over_control, worker_kills
from tests.chaos.load import Load
from tests.chaos.sizes import sizes
from tests.support.waiting import eventually

WANTED_PER_SECOND = 2000.0
SHARE_OF_CAPACITY = 0.8
CALIBRATION_SECONDS = 30.0


@dataclass(frozen=True)
class Storm:
    workers: int
    every_seconds: float
    seconds: float
    control_seconds: float
    calibration: int
    """How many deliveries the machine is measured with."""
    most_per_second: float = WANTED_PER_SECOND


def calibrated(arena: Arena, load: Load, storm: Storm) -> float:
    """Deliveries per second: what is wanted, or 80 % of what this machine reaches while nobody dies."""
    events = storm.calibration // ENDPOINTS
    began = time.monotonic()
    load.send(0, events)
    wanted = events * ENDPOINTS
    eventually(lambda: len(arena.recording.arrivals) >= wanted, CALIBRATION_SECONDS, "the calibration")
    reached = wanted / (arena.recording.arrivals[-1].at - began)
    rate = min(storm.most_per_second, SHARE_OF_CAPACITY * reached)
    print(f"the machine reaches {reached:.0f} deliveries/s; the storm has {rate:.0f}/s")
    return rate


@sizes(
    short=Storm(10, every_seconds=0.05, seconds=2.5, control_seconds=2.0, calibration=400, most_per_second=400),
    full=Storm(50, every_seconds=0.05, seconds=60, control_seconds=20, calibration=10_000),
)
def test_random_workers_killed_under_load_lose_nothing(arena: Arena, size: Storm) -> None:
    control = storm_over_control(
        arena.server.url, size.workers, worker_kills(size.every_seconds, size.control_seconds, arena.chance)
    )
    farm = arena.farm(size.workers)
    before = standing(farm)
    with arena.load() as load:
        rate = calibrated(arena, load, size)
        killer = arena.killer(farm)
        with load.at(rate):
            for _ in killer.storm(size.every_seconds, size.seconds):
                pass
        conditions = f"{rate:.0f}/s, {size.workers} workers, a kill every {1000 * size.every_seconds:.0f} ms"
        found = arena.conclude(
            "random workers killed under load", load, kills=killer.kills, conditions=conditions, control=control
        )
    found.assert_right(deaths=killer.kills)
    assert control.lost > 0
    assert_in_order(farm, before, size.workers)
    assert farm.stop() == 0
    assert not farm.survivors()
