"""A Redis whose newest writes are cut off at a restart, under a whole farm from chain to endpoint.

Everything stands in one Redis and every move is one script, so it all goes back to one point in time; the
ingestor finds its checkpoint there and derives the rest from the chain again, under the same webhook-ids.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from hookfarm.devchain.embedded import running_devchain
from hookfarm.store import keys
from tests.chaos.assertions import evaluate
from tests.chaos.cluster import Cluster
from tests.chaos.load import CHAIN_ID
from tests.chaos.pipeline import add_endpoints, owed_ids, whole_farm
from tests.chaos.sizes import sizes
from tests.chaos.table import Row
from tests.support.delivery import undelivered
from tests.support.ledger import assert_drained
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

BLOCKS_PER_ROUND = 4
AGAIN_SECONDS = 60.0


@dataclass(frozen=True)
class RollBacks:
    workers: int
    logs_per_block: int
    times: int


def newest_writes(server: RedisServer) -> Path:
    """The part of the append-only file that is being written."""
    [part] = (server.directory.data / "appendonlydir").glob("*.incr.aof")
    return part


@sizes(short=RollBacks(workers=5, logs_per_block=20, times=2), full=RollBacks(20, logs_per_block=100, times=15))
def test_writes_cut_off_at_a_restart_are_derived_again_from_the_chain(cluster: Cluster, size: RollBacks) -> None:
    with running_devchain(chain_id=CHAIN_ID, logs_per_block=size.logs_per_block) as chain:
        farm = whole_farm(cluster, chain, size.workers)
        endpoints = add_endpoints(cluster)
        chain.mine(1)
        cluster.recording.wait_for_ids(owed_ids(chain, endpoints), within=60)
        part = newest_writes(cluster.server)
        certain = part.stat().st_size
        taken_back = 0
        for _ in range(size.times):
            chain.mine(BLOCKS_PER_ROUND)
            enough = len(cluster.recording.arrivals) + size.logs_per_block
            eventually(lambda: len(cluster.recording.arrivals) >= enough, AGAIN_SECONDS, "deliveries")  # noqa: B023
            cluster.server.kill()
            written = part.stat().st_size
            kept = cluster.chance.randint(certain, certain + 3 * (written - certain) // 4)
            os.truncate(part, kept)
            taken_back += written - kept
            cluster.server.start()
        chain.mine(1)
        wanted = owed_ids(chain, endpoints)
        cluster.recording.wait_for_ids(wanted, AGAIN_SECONDS)
        with cluster.server.client() as client:
            eventually(lambda: not undelivered(client), AGAIN_SECONDS, "the ledger drained")
            assert_drained(client)
            assert client.xlen(keys.events(CHAIN_ID)) == 0
        found = evaluate(dict.fromkeys(wanted, 0.0), cluster.recording.arrivals)
        conditions = f"{taken_back:,} bytes cut off, {size.workers} workers, seed {cluster.seed}"
        counts = (size.times, found.produced, len(found.lost), found.duplicates, 0.0)
        cluster.table.add(Row("newest writes cut off at a restart", *counts, conditions))
        assert not found.lost
        assert not found.unexpected
        assert not found.unsigned
        assert found.duplicates, "nothing was taken back: the test proves nothing"
        assert farm.stop() == 0
