"""A Redis without room, and one that was emptied, under a whole farm from chain to endpoint."""

from dataclasses import dataclass

from hookfarm.devchain.embedded import running_devchain
from hookfarm.store import keys
from tests.chaos.assertions import evaluate
from tests.chaos.cluster import Cluster
from tests.chaos.load import CHAIN_ID, Load
from tests.chaos.load import add_endpoints as add_endpoints_to_load
from tests.chaos.pipeline import add_endpoints, owed_ids, whole_farm
from tests.chaos.sizes import sizes
from tests.chaos.table import Row
from tests.support.delivery import undelivered
from tests.support.farm_processes import FarmProcess
from tests.support.ledger import assert_drained
from tests.support.waiting import eventually

WORKERS = 5
LINES_OF_AN_EDGE = 2
"""One when it begins and one when it is over, for each process."""


@dataclass(frozen=True)
class Fullness:
    blocks: int
    logs_per_block: int
    times: int


def pids(farm: FarmProcess) -> dict[str, int]:
    return {name: process.pid for name, process in farm.children().items()}


@sizes(short=Fullness(blocks=3, logs_per_block=15, times=1), full=Fullness(blocks=5, logs_per_block=20, times=10))
def test_a_full_redis_refuses_the_ingest_and_still_takes_what_is_settled(cluster: Cluster, size: Fullness) -> None:
    with running_devchain(chain_id=CHAIN_ID, logs_per_block=size.logs_per_block) as chain:
        farm = whole_farm(cluster, chain, WORKERS)
        endpoints = add_endpoints(cluster, behaviour="slow-30")
        living, lines = pids(farm), len(farm.stderr.splitlines())
        with cluster.server.client() as client:
            for _ in range(size.times):
                chain.mine(size.blocks)
                queued = size.logs_per_block
                eventually(lambda: undelivered(client) > queued, what="a queue")  # noqa: B023
                client.config_set("maxmemory", 1)
                chain.mine(size.blocks)
                settled = "what was queued being delivered and settled while Redis is full"
                eventually(lambda: not undelivered(client), what=settled)
                eventually(lambda: not farm.is_ready(keys.EVENT_INGESTOR), what="the ingestor saying so")
                assert len(cluster.recording.ids()) < len(owed_ids(chain, endpoints))
                client.config_set("maxmemory", 0)
                cluster.recording.wait_for_ids(owed_ids(chain, endpoints))
                eventually(lambda: farm.is_ready(keys.EVENT_INGESTOR), what="the ingestor being ready")
            eventually(lambda: not undelivered(client), what="the ledger drained")
            assert_drained(client)
        found = evaluate(dict.fromkeys(owed_ids(chain, endpoints), 0.0), cluster.recording.arrivals)
        conditions = f"{WORKERS} workers, seed {cluster.seed}"
        cluster.table.add(
            Row("Redis full", size.times, found.produced, len(found.lost), found.duplicates, 0.0, conditions)
        )
        found.assert_correct(deaths=0)
        assert pids(farm) == living, "a process has died of it"
        said = farm.stderr.splitlines()[lines:]
        assert len(said) <= size.times * LINES_OF_AN_EDGE * len(living), said
        assert farm.stop() == 0


def test_what_failed_is_tried_again_while_redis_is_full(cluster: Cluster) -> None:
    farm = cluster.farm(2, HOOKFARM_RETRY_SCHEDULE=",".join(["200ms"] * 50))
    with cluster.server.client() as client:
        [endpoint] = add_endpoints_to_load(client, cluster.recording, 1, behaviour="404")
        Load(client, [endpoint], 1).send(0, 5)
        eventually(lambda: client.zcard(keys.RETRY), what="the first failures")
        client.config_set("maxmemory", 1)
        attempts = len(cluster.recording.arrivals) + 20
        eventually(lambda: len(cluster.recording.arrivals) >= attempts, what="attempts while it is full")
        client.config_set("maxmemory", 0)
    assert farm.stop() == 0


def test_a_worker_that_is_replaced_while_redis_is_full_delivers_what_is_queued(cluster: Cluster) -> None:
    farm = cluster.farm(1)
    with cluster.load(endpoints=1, fan_out=1) as load, cluster.server.client() as client:
        load.send(0, 1)
        cluster.recording.wait_for_ids(set(load.owed()))
        farm.children()["message_processor 0"].suspend()
        load.send(1, 200)
        client.config_set("maxmemory", 1)
        old = farm.children()["webhook_delivery 0"]
        old.kill()
        eventually(lambda: farm.children().get("webhook_delivery 0", old) != old, what="its successor")
        lines = len(farm.stderr.splitlines())
        farm.children()["message_processor 0"].resume()
        cluster.recording.wait_for_ids(set(load.owed()))
        eventually(lambda: not undelivered(client), what="the ledger drained")
        said = farm.stderr.splitlines()[lines:]
        assert not [line for line in said if " webhook_delivery " in line], said
        assert_drained(client)
        client.config_set("maxmemory", 0)
    assert farm.stop() == 0
