"""Whatever happens to chains, nodes and processes: receivers know the canonical chain, as they asked for it."""

import contextlib
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from hookfarm.devchain.library import RunningDevchain, running_devchain
from hookfarm.devchain.transfers import ACCOUNTS, account, token_address
from hookfarm.store import keys
from tests.chaos.alarm import Abandoned, Alarm
from tests.chaos.evidence import Evidence
from tests.chaos.history import History
from tests.chaos.judgement import await_drained
from tests.chaos.picture import Pictures
from tests.chaos.steps import Stage
from tests.chaos.table import Row, Table
from tests.chaos.truth import Crowd, Lane, Totals, reasons_to_repeat, start_truthful_farm
from tests.chaos.wishes import DISTANCES, Wish, ask, wishes
from tests.support.farm_processes import StartFarm
from tests.support.ingestor import Published
from tests.support.redis_server import RedisServer

FIRST_CHAIN = 8000
HISTORY_LOGS = 1500
"""A chain's older blocks are not judged again."""
BLOCKS_BEFORE = 40
"""There are so many when the farm starts."""


@dataclass(frozen=True)
class Round:
    """One farm: `lanes` chains, with so many seeds each, the first of them `offset` behind the run's."""

    lanes: int
    seeds: int
    offset: int = 0


ROUNDS = [
    pytest.param(Round(lanes=2, seeds=2), id="short"),
    *(
        pytest.param(Round(lanes=2, seeds=10, offset=20 * number), id=f"full-{number}", marks=pytest.mark.chaos)
        for number in range(10)
    ),
]


def devchain_wishes() -> tuple[Wish, ...]:
    token, other = ("0x" + token_address(index).hex() for index in range(2))
    return wishes(token, other, ["0x" + account(index).hex() for index in range(ACCOUNTS // 4)])


@contextlib.contextmanager
def running_lanes(
    server: RedisServer, evidence: Evidence, count: int, chance: random.Random
) -> Iterator[list[Lane]]:
    """Chains with some blocks, and their endpoints in the registry."""
    lanes: list[Lane] = []
    alarm = Alarm()
    pictures = Pictures(evidence)
    with contextlib.ExitStack() as stack, server.client() as client:
        for number in range(count):
            chain_id, history = FIRST_CHAIN + number, History()
            chain = stack.enter_context(
                running_devchain(
                    chain_id=chain_id,
                    logs_per_block=chance.randint(1, 2),
                    safe_distance=DISTANCES["safe"],
                    finalized_distance=DISTANCES["finalized"],
                    history_logs=HISTORY_LOGS,
                )
            )
            chain.watch(history.note)
            chain.mine(BLOCKS_BEFORE)
            asked, published = ask(client, evidence, chain_id, devchain_wishes()), Published(server, chain_id)
            stack.callback(published.client.close)
            lanes.append(Lane(chain, history, asked, pictures, published, number, alarm))
        yield lanes


def start_rival(start_farm: StartFarm, server: RedisServer, lane: Lane) -> None:
    """Another farm's ingestor on the same chain: the first of the two publishes, the other goes on from there.

    It comes and goes as it likes: nothing depends on it.
    """
    chain = f"{lane.chain.chain_id}={lane.chain.ws_url}"
    options = (keys.EVENT_INGESTOR, "--chain", chain, "--from-block", "1")
    start_farm(*options, redis_url=server.url)


@pytest.mark.parametrize("size", ROUNDS)
def test_receivers_know_exactly_the_canonical_chain(
    redis_server: RedisServer, evidence: Evidence, start_farm: StartFarm, seed: int, table: Table, size: Round
) -> None:
    """`--chaos-seed N` without `--chaos` repeats the seeds from N on."""
    first = seed + size.offset
    chance = random.Random(first)
    with running_lanes(redis_server, evidence, size.lanes, chance) as lanes:
        farm = start_truthful_farm(start_farm, redis_server.url, lanes, chance)
        start_rival(start_farm, redis_server, lanes[0])
        crowd = Crowd(farm.pid)

        def run(lane: Lane) -> None:
            with lane.alarm.rung_by_failure():
                live(lane)

        def live(lane: Lane) -> None:
            assert isinstance(lane.chain, RunningDevchain)
            for number in range(size.seeds):
                seed_of_lane = first + lane.number * size.seeds + number
                drawn = random.Random(seed_of_lane)
                victims = crowd.victims(lane.number, drawn)
                stage = Stage(
                    lane.chain, drawn, victims, lambda: lane.history.highest, lane.reached, alarm=lane.alarm
                )
                lane.live(seed_of_lane, victims, stage.perform)
            lane.settle_tags(crowd.victims(lane.number, random.Random(first)))

        with ThreadPoolExecutor(len(lanes)) as pool:
            done = [pool.submit(run, lane) for lane in lanes]
        came_to = sum((lane.totals() for lane in lanes), Totals())
        failed = [
            future for future in done if future.exception() and not isinstance(future.exception(), Abandoned)
        ]
        counts = (came_to.kills, came_to.emitted + came_to.removed, len(failed), came_to.repeated, 0.0)
        table.add(Row("random chains, what receivers know", *counts, f"from {first}, {came_to}"))
        if failed:
            print(farm.stderr)
        for future in failed:
            future.result()
        assert came_to.repeated <= reasons_to_repeat(farm)
        with redis_server.client() as client:
            await_drained(client)
        for lane in lanes:
            lane.judge_all()
        assert farm.stop() == 0
