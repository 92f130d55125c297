"""The Redis server itself dies by SIGKILL, again and again, and comes back with its append-only file."""

import time
from dataclasses import dataclass

import pytest

from tests.chaos.cluster import Cluster, assert_recovered, open_files
from tests.chaos.recording import Recording
from tests.chaos.sizes import sizes
from tests.support.machine import promised
from tests.support.waiting import eventually

DELIVERING_AGAIN_SECONDS = 2.0


@dataclass(frozen=True)
class Restarts:
    workers: int
    per_second: float
    every_seconds: float
    times: int


def wait_until_delivering(recording: Recording, workers: int, since: float) -> float:
    """Seconds from `since` until more has arrived than the workers can have had in hand."""

    def again() -> list[float]:
        fresh = [arrival.at for arrival in recording.arrivals if arrival.at > since]
        return fresh[workers:]

    [arrived, *_] = eventually(again, promised(DELIVERING_AGAIN_SECONDS), "deliveries after the server's return")
    return arrived - since


@pytest.mark.alone
@sizes(
    short=Restarts(workers=8, per_second=200, every_seconds=1.5, times=2),
    full=Restarts(workers=50, per_second=1000, every_seconds=5, times=12),
)
def test_a_redis_that_is_killed_and_restarted_again_and_again_loses_nothing(
    cluster: Cluster, size: Restarts
) -> None:
    farm = cluster.farm(size.workers)
    before = open_files(farm)
    slowest = 0.0
    with cluster.load() as load, load.at(size.per_second):
        for _ in range(size.times):
            cluster.abort.sleep(size.every_seconds)
            cluster.server.kill()
            cluster.server.start()
            slowest = max(slowest, wait_until_delivering(cluster.recording, size.workers, time.monotonic()))
    conditions = f"{size.per_second:.0f}/s, {size.workers} workers, delivering {slowest:.2f} s after its return"
    found = cluster.conclude("Redis killed and restarted", load, kills=size.times, conditions=conditions)
    found.assert_correct(deaths=0)
    assert_recovered(farm, before, size.workers)
    assert farm.stop() == 0
