"""As test_truth, on a real node: `anvil_reorg`, snapshots that are reverted to, and kills in between."""

import random
from dataclasses import dataclass

from tests.chaos.anvil_chain import CHAIN_ID, AnvilChain, AnvilStage
from tests.chaos.evidence import Evidence
from tests.chaos.history import History
from tests.chaos.judgement import await_drained
from tests.chaos.picture import Pictures
from tests.chaos.sizes import sizes
from tests.chaos.table import Row, Table
from tests.chaos.truth import Crowd, Lane, reasons_to_repeat, start_truthful_farm
from tests.chaos.wishes import DISTANCES, ask, wishes
from tests.support.anvil import running_anvil
from tests.support.farm_processes import StartFarm
from tests.support.ingestor import Published
from tests.support.redis_server import RedisServer

SLOTS = ("--slots-in-an-epoch", str(DISTANCES["safe"]))
"""A node that has no other word for it calls a block safe after one epoch, and finalized after two."""


@dataclass(frozen=True)
class Rounds:
    count: int
    steps: int


@sizes(short=Rounds(count=10, steps=8), full=Rounds(count=60, steps=30))
def test_receivers_know_exactly_what_a_real_node_calls_canonical(
    redis_server: RedisServer, evidence: Evidence, start_farm: StartFarm, seed: int, table: Table, size: Rounds
) -> None:
    chance, history = random.Random(seed), History()
    with running_anvil(chain_id=CHAIN_ID, extra=SLOTS) as node, redis_server.client() as client:
        chain = AnvilChain(node, history, chance)
        asked = ask(client, evidence, CHAIN_ID, wishes(*chain.tokens, chain.accounts[:3]))
        published = Published(redis_server, CHAIN_ID)
        lane = Lane(chain, history, asked, Pictures(evidence), published)
        farm = start_truthful_farm(start_farm, redis_server.url, [lane], chance)
        for _ in range(size.count):
            victims = Crowd(farm.pid).victims(lane.number, chance)
            stage = AnvilStage(chain, chance, victims, lane.reached)
            chain.reorg(chance.randint(1, 3))
            lane.live(seed, victims, stage.perform, size.steps)
        lane.settle_tags(Crowd(farm.pid).victims(lane.number, chance))
        came_to = lane.totals()
        counts = (came_to.kills, came_to.emitted + came_to.removed, 0, came_to.repeated, 0.0)
        table.add(Row("anvil, what receivers know", *counts, f"from {seed}, {came_to}"))
        assert came_to.repeated <= reasons_to_repeat(farm)
        await_drained(client)
        lane.judge_all()
        published.client.close()
        assert farm.stop() == 0
