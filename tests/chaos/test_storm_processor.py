"""The message processor dies while it turns events into jobs."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import redis

from hookfarm.store import keys
from tests.chaos.cluster import PROCESSOR_TITLE, Cluster, assert_recovered, open_files
from tests.chaos.killer import Killer
from tests.chaos.load import CHAIN_ID
from tests.chaos.sizes import sizes
from tests.support.waiting import eventually

FAN_OUT = 50
PROGRESS_SECONDS = 60.0
"""In which a processor is reborn and gets on, on a machine with much else to do."""
AFTER_PROGRESS_SECONDS = 0.02
CONNECTIONS = 2
"""What a processor has open once its loop has begun."""


@dataclass(frozen=True)
class Storm:
    workers: int
    processors: int
    seconds: float
    per_second: float
    every_seconds: float = 0.1


def progress(client: "redis.Redis") -> Callable[[], bool]:
    """Whether a processor has read or handed off anything since now."""

    def so_far() -> object:
        [group] = client.xinfo_groups(keys.events(CHAIN_ID)) or [{}]
        return group.get("entries-read"), group.get("pending")

    before = so_far()
    return lambda: so_far() != before


def kill_while_they_work(cluster: Cluster, killer: Killer, storm: Storm, client: "redis.Redis") -> None:
    """One each `every_seconds`, but each time only after one of them has got on: in the middle of a batch, or just
    behind its hand-off."""
    ends = time.monotonic() + storm.seconds
    while time.monotonic() < ends:
        beat = time.monotonic() + storm.every_seconds
        eventually(progress(client), PROGRESS_SECONDS, "a processor's progress")
        cluster.abort.sleep(cluster.chance.uniform(0, AFTER_PROGRESS_SECONDS))
        killer.kill_one()
        cluster.abort.sleep(beat - time.monotonic())


@sizes(
    short=Storm(10, 2, seconds=3, per_second=500),
    full=Storm(50, 3, seconds=30, per_second=1000),
)
def test_processors_killed_all_the_time_make_one_job_of_each_event_and_endpoint(
    cluster: Cluster, size: Storm
) -> None:
    """No worker dies, so whatever arrives twice was enqueued twice."""
    farm = cluster.farm(size.workers, "--processors", str(size.processors))
    before = open_files(farm)
    killer = cluster.killer(farm, PROCESSOR_TITLE, CONNECTIONS)
    with cluster.load(FAN_OUT, FAN_OUT) as load:
        with load.at(size.per_second), cluster.server.client() as client:
            eventually(lambda: cluster.recording.arrivals, PROGRESS_SECONDS, "the first delivery")
            kill_while_they_work(cluster, killer, size, client)
        found = cluster.conclude(
            "message processor killed, fan-out 50",
            load,
            kills=killer.kills,
            conditions=f"{size.per_second:.0f}/s, {size.processors} processors, {size.workers} workers",
        )
    assert killer.kills > 0
    found.assert_correct(deaths=0)
    assert_recovered(farm, before, size.workers)
    assert farm.stop() == 0
    assert not farm.survivors()
