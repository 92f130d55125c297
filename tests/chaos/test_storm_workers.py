"""Workers die by SIGKILL, one after another, while they deliver."""

import time
from dataclasses import dataclass

import pytest

from tests.chaos.assertions import DRAIN_SECONDS
from tests.chaos.cluster import ENDPOINTS, Cluster, assert_recovered, open_files
from tests.chaos.control import storm_over_control, worker_kills
from tests.chaos.sizes import sizes
from tests.support.farm_processes import FarmProcess
from tests.support.machine import promised

WANTED_PER_SECOND = 2000.0
SHARE_OF_CAPACITY = 0.8
CALIBRATION_SECONDS = 30.0
CALIBRATION_CHAIN_ID = 4712


@dataclass(frozen=True)
class Storm:
    workers: int
    every_seconds: float
    seconds: float
    control_seconds: float
    calibration: int
    """How many deliveries the machine is measured with."""
    most_per_second: float = WANTED_PER_SECOND


def calibrated(cluster: Cluster, farm: FarmProcess, storm: Storm) -> float:
    """Deliveries per second: what is wanted, or 80 % of what this machine reaches under the same kills."""
    killer = cluster.killer(farm)
    with cluster.load(chain_id=CALIBRATION_CHAIN_ID) as load:
        began = time.monotonic()
        load.send(0, storm.calibration // ENDPOINTS)
        owed = load.owed()
        for _ in killer.storm(storm.every_seconds, CALIBRATION_SECONDS):
            if len(cluster.recording.arrivals) >= len(owed):
                break
        reached = len(owed) / (cluster.recording.arrivals[-1].at - began)
        cluster.settle(load).assert_correct(deaths=killer.kills)
    rate = min(storm.most_per_second, SHARE_OF_CAPACITY * reached)
    print(f"under these kills the machine reaches {reached:.0f} deliveries/s; the storm has {rate:.0f}/s")
    return rate


@pytest.mark.alone
@sizes(
    short=Storm(10, every_seconds=0.05, seconds=2.5, control_seconds=2.0, calibration=400, most_per_second=400),
    full=Storm(50, every_seconds=0.05, seconds=60, control_seconds=10, calibration=10_000),
)
def test_random_workers_killed_under_load_lose_nothing(cluster: Cluster, size: Storm) -> None:
    control = storm_over_control(
        cluster.server.url, size.workers, worker_kills(size.every_seconds, size.control_seconds, cluster.chance)
    )
    farm = cluster.farm(size.workers)
    before = open_files(farm)
    rate = calibrated(cluster, farm, size)
    with cluster.load() as load:
        killer = cluster.killer(farm)
        with load.at(rate):
            for _ in killer.storm(size.every_seconds, size.seconds):
                pass
        conditions = f"{rate:.0f}/s, {size.workers} workers, a kill every {1000 * size.every_seconds:.0f} ms"
        found = cluster.conclude(
            "random workers killed under load", load, kills=killer.kills, conditions=conditions, control=control
        )
    found.assert_correct(deaths=killer.kills)
    assert found.drained_seconds < promised(DRAIN_SECONDS)
    assert control.lost > 0
    assert_recovered(farm, before, size.workers)
    assert farm.stop() == 0
    assert not farm.survivors()


@dataclass(frozen=True)
class Idle:
    workers: int
    every_seconds: float
    seconds: float
    per_second: float = 50.0


ORPHAN_SECONDS = 3.0


@pytest.mark.alone
@sizes(
    short=Idle(10, every_seconds=0.02, seconds=2.5),
    full=Idle(50, every_seconds=0.01, seconds=30),
)
def test_an_idle_farm_whose_workers_die_all_the_time_delivers_orphans_within_3_s(
    cluster: Cluster, size: Idle
) -> None:
    farm = cluster.farm(size.workers)
    before = open_files(farm)
    with cluster.load(fan_out=1) as load:
        killer = cluster.killer(farm)
        with load.at(size.per_second):
            for _ in killer.storm(size.every_seconds, size.seconds, spared=size.workers // 2):
                pass
        conditions = (
            f"{size.per_second:.0f}/s, {size.workers} workers, a kill every {1000 * size.every_seconds:.0f} ms"
        )
        found = cluster.conclude("idle farm, a kill every 10 ms", load, kills=killer.kills, conditions=conditions)
    found.assert_correct(deaths=killer.kills)
    assert found.slowest_seconds < promised(ORPHAN_SECONDS)
    assert_recovered(farm, before, size.workers)
    assert farm.stop() == 0
    assert not farm.survivors()
