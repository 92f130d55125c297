"""As test_canonical_chain, on a real node: `anvil_reorg`, snapshots that are reverted to, and kills in between."""

import random
from dataclasses import dataclass

from tests.chaos.anvil_chain import CHAIN_ID, AnvilChain, AnvilStorm
from tests.chaos.assertions import await_drained
from tests.chaos.history import ChainHistory
from tests.chaos.message_log import MessageLog
from tests.chaos.oracle import Processes, Trial, possible_duplicates, start_trial_farm
from tests.chaos.receiver_state import ReceiverStates
from tests.chaos.sizes import sizes
from tests.chaos.subscriptions import DISTANCES, subscribe, subscription_cases
from tests.chaos.table import Row, Table
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
    redis_server: RedisServer, messages: MessageLog, start_farm: StartFarm, seed: int, table: Table, size: Rounds
) -> None:
    chance, history = random.Random(seed), ChainHistory()
    with running_anvil(chain_id=CHAIN_ID, extra=SLOTS) as node, redis_server.client() as client:
        chain = AnvilChain(node, history, chance)
        subscribed = subscribe(client, messages, CHAIN_ID, subscription_cases(*chain.tokens, chain.accounts[:3]))
        published = Published(redis_server, CHAIN_ID)
        trial = Trial(chain, history, subscribed, ReceiverStates(messages), published)
        farm = start_trial_farm(start_farm, redis_server.url, [trial], chance)
        for _ in range(size.count):
            victims = Processes(farm.pid).victims(trial.number, chance)
            storm = AnvilStorm(chain, chance, victims, trial.reached)
            chain.reorg(chance.randint(1, 3))
            trial.run(seed, victims, storm.perform, size.steps)
        trial.settle_tags(Processes(farm.pid).victims(trial.number, chance))
        came_to = trial.totals()
        counts = (came_to.kills, came_to.emitted + came_to.removed, 0, came_to.repeated, 0.0)
        table.add(Row("anvil, what receivers know", *counts, f"from {seed}, {came_to}"))
        assert came_to.repeated <= possible_duplicates(farm)
        await_drained(client)
        trial.compare_all()
        published.client.close()
        assert farm.stop() == 0
