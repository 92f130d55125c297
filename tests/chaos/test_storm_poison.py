"""A job that costs every worker that touches it its life: its holder is found by its connection, and killed."""

from dataclasses import dataclass

import psutil
import pytest

from tests.chaos.cluster import Cluster, assert_recovered, open_files
from tests.chaos.killer import Killer
from tests.chaos.sizes import sizes
from tests.support.delivery import dead_letters
from tests.support.waiting import eventually

MOST_DEATHS = 6
POISON_CHAIN_ID = 666


@dataclass(frozen=True)
class Poison:
    workers: int
    per_second: float


def posting_from(port: int, killer: Killer) -> int:
    """The worker whose end of a connection has this port."""
    for pid in killer.victims():
        if any(connection.laddr.port == port for connection in psutil.Process(pid).net_connections("tcp")):
            return pid
    raise AssertionError(f"no worker posts from port {port}")


@pytest.mark.alone
@sizes(short=Poison(10, per_second=100), full=Poison(50, per_second=500))
def test_a_job_that_kills_its_workers_dies_after_six_and_the_others_go_on(cluster: Cluster, size: Poison) -> None:
    farm = cluster.farm(size.workers)
    before = open_files(farm)
    killer = cluster.killer(farm)
    with cluster.load() as load, cluster.load(1, 1, "hold", POISON_CHAIN_ID) as poison, load.at(size.per_second):
        poison.send(0, 1)
        [poisonous] = poison.owed()

        def doses() -> list[int]:
            """The ports on which it has come so far."""
            return [arrival.port for arrival in cluster.recording.arrivals if arrival.id == poisonous]

        with cluster.server.client() as client:
            while killer.kills < MOST_DEATHS:
                taken = killer.kills
                eventually(lambda: len(doses()) > taken, what="the poison being posted again")  # noqa: B023
                assert killer.kill(posting_from(doses()[-1], killer))
            letters = eventually(lambda: dead_letters(client), what="its death")
    assert {job_id: letter["reason"] for job_id, letter in letters.items()} == {poisonous: "worker_lost"}
    found = cluster.conclude(
        "a job that kills its workers",
        load,
        poison,
        kills=killer.kills,
        conditions=f"{size.per_second:.0f}/s of others, {size.workers} workers",
    )
    found.assert_correct(deaths=killer.kills)
    assert len(doses()) == MOST_DEATHS
    assert_recovered(farm, before, size.workers)
    assert farm.stop() == 0
    assert not farm.survivors()
