"""The whole farm ends under load, by SIGKILL or SIGTERM, and is started again."""

import signal
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.chaos.cluster import Cluster, assert_recovered, open_files
from tests.chaos.control import Control, Pool, storm_over_control
from tests.chaos.load import Load
from tests.chaos.sizes import sizes
from tests.support.farm_processes import FarmProcess
from tests.support.machine import promised
from tests.support.waiting import eventually

GONE_SECONDS = 1.0
GRACE_SECONDS = 20.0
"""The default of `grace_seconds`."""


@dataclass(frozen=True)
class Ends:
    """So many `times` the farm ends at a random time within `within_seconds` and is down for `down_seconds`.

    The endpoints take `answer_ms`, so that about half of the workers have a job in hand at any time.
    """

    workers: int
    times: int
    within_seconds: float
    down_seconds: float
    per_second: float
    answer_ms: int
    control_times: int


def described(size: Ends) -> str:
    return f"{size.per_second:.0f}/s, {size.workers} workers, answers after {size.answer_ms} ms"


def killed_pools(cluster: Cluster, size: Ends, number: int) -> Control:
    """Plain BRPOP, ended as often by the same signal."""

    def storm(pool: Pool) -> int:
        for _ in range(size.control_times):
            cluster.abort.sleep(cluster.chance.uniform(0.1, 0.4))
            pool.signal_all(number)
            pool.start()
        return size.control_times

    return storm_over_control(cluster.server.url, size.workers, storm)


def ended_and_started(cluster: Cluster, load: Load, size: Ends, end: Callable[[FarmProcess], None]) -> FarmProcess:
    """`end`s one farm after the other under load; the last one runs on.

    The load pauses while the next one starts, which on a busy machine would be most of the time.
    """
    farm = cluster.farm(size.workers)
    for _ in range(size.times):
        with load.at(size.per_second):
            cluster.abort.sleep(cluster.chance.uniform(0, size.within_seconds))
            end(farm)
            cluster.abort.sleep(size.down_seconds)
        farm = cluster.farm(size.workers)
    return farm


@pytest.mark.alone
@sizes(
    short=Ends(10, times=1, within_seconds=1, down_seconds=0.5, per_second=250, answer_ms=20, control_times=3),
    full=Ends(50, times=5, within_seconds=5, down_seconds=2, per_second=500, answer_ms=50, control_times=5),
)
def test_a_master_killed_under_load_takes_all_along_and_nothing_is_lost(cluster: Cluster, size: Ends) -> None:
    control = killed_pools(cluster, size, signal.SIGKILL)
    died = 0

    def kill(farm: FarmProcess) -> None:
        nonlocal died
        died += len(farm.survivors())
        farm.signal(signal.SIGKILL)
        eventually(lambda: not farm.survivors(), promised(GONE_SECONDS), "the end of all its processes")
        farm.wait()

    with cluster.load(behaviour=f"slow-{size.answer_ms}") as load:
        farm = ended_and_started(cluster, load, size, kill)
        before = open_files(farm)
        found = cluster.conclude(
            "master killed under load, started again",
            load,
            kills=size.times,
            conditions=f"{described(size)}, {size.down_seconds:g} s down, {died} processes died",
            control=control,
        )
    found.assert_correct(deaths=died)
    assert control.lost > 0
    assert_recovered(farm, before, size.workers)
    assert farm.stop() == 0
    assert not farm.survivors()


@sizes(
    short=Ends(10, times=2, within_seconds=0.5, down_seconds=0, per_second=250, answer_ms=20, control_times=3),
    full=Ends(50, times=20, within_seconds=1, down_seconds=0, per_second=500, answer_ms=50, control_times=5),
)
def test_a_farm_told_to_stop_under_load_loses_and_repeats_nothing(cluster: Cluster, size: Ends) -> None:
    control = killed_pools(cluster, size, signal.SIGTERM)

    def stop(farm: FarmProcess) -> None:
        farm.signal(signal.SIGTERM)
        assert farm.wait(promised(GRACE_SECONDS)) == 0
        assert not farm.survivors()

    with cluster.load(behaviour=f"slow-{size.answer_ms}") as load:
        farm = ended_and_started(cluster, load, size, stop)
        before = open_files(farm)
        found = cluster.conclude(
            "SIGTERM under load, started again",
            load,
            kills=size.times,
            conditions=described(size),
            control=control,
        )
    found.assert_correct(deaths=0)
    assert control.lost > 0
    assert_recovered(farm, before, size.workers)
    assert farm.stop() == 0
    assert not farm.survivors()
