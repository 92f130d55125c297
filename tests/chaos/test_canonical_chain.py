"""Whatever happens to chains, nodes and processes: receivers know the canonical chain, as they asked for it."""

import contextlib
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from hookfarm.devchain.embedded import RunningDevchain, running_devchain
from hookfarm.devchain.profiles import PROFILES
from hookfarm.devchain.transaction import ACCOUNTS, account, token_address
from hookfarm.store import keys
from tests.chaos.abort import Aborted, AbortSignal
from tests.chaos.actions import OMISSIONS, ChainStorm
from tests.chaos.assertions import await_drained
from tests.chaos.history import ChainHistory
from tests.chaos.message_log import MessageLog
from tests.chaos.oracle import Processes, Totals, Trial, possible_duplicates, start_trial_farm
from tests.chaos.receiver_state import ReceiverStates
from tests.chaos.subscriptions import DISTANCES, SubscriptionCase, subscribe, subscription_cases
from tests.chaos.table import Row, Table
from tests.support.farm_processes import StartFarm
from tests.support.ingestor import Published
from tests.support.redis_server import RedisServer

FIRST_CHAIN = 8000
HISTORY_LOGS = 3000
"""A chain's older blocks are not judged again."""
BLOCKS_BEFORE = 40
"""There are so many when the farm starts."""
WITHOUT_WHOLE_BLOOM = frozenset({"shibarium", "hyperevm", "hedera", "filecoin", "tron", "no-bloom", "skale"})
"""A last log that the node omits goes unnoticed there, as docs/reference/chains.md says."""


@dataclass(frozen=True)
class Round:
    """One farm: `trials` chains, with so many seeds each, the first of them `offset` behind the run's."""

    trials: int
    seeds: int
    offset: int = 0


ROUNDS = [
    pytest.param(Round(trials=2, seeds=2), id="short"),
    *(
        pytest.param(Round(trials=2, seeds=10, offset=20 * number), id=f"full-{number}", marks=pytest.mark.chaos)
        for number in range(10)
    ),
]


def devchain_cases() -> tuple[SubscriptionCase, ...]:
    token, other = ("0x" + token_address(index).hex() for index in range(2))
    return subscription_cases(token, other, ["0x" + account(index).hex() for index in range(ACCOUNTS // 4)])


def drawn_profiles(count: int, chance: random.Random) -> list[str]:
    """Profiles with different chain ids, whose nodes have `safe` and `finalized`; "" for every fourth or so."""
    fitting = [
        like
        for like, profile in PROFILES.items()
        if "unsupported_tags" not in {kind for kind, _ in profile.faults}
    ]
    chance.shuffle(fitting)
    different = list({PROFILES[like].chain_id: like for like in fitting}.values())
    return [like if chance.random() < 0.75 else "" for like in different[:count]]


@contextlib.contextmanager
def running_trials(
    server: RedisServer, messages: MessageLog, count: int, chance: random.Random
) -> Iterator[list[Trial]]:
    """Chains with some blocks, and their endpoints in the registry."""
    trials: list[Trial] = []
    abort = AbortSignal()
    receivers = ReceiverStates(messages)
    with contextlib.ExitStack() as stack, server.client() as client:
        for number, like in enumerate(drawn_profiles(count, chance)):
            history = ChainHistory()
            chain_id = PROFILES[like].chain_id if like else FIRST_CHAIN + number
            chain = stack.enter_context(
                running_devchain(
                    like=like,
                    chain_id=chain_id,
                    null_round_every=0,
                    transfers_per_block=0,
                    logs_per_block=chance.randint(1, 2),
                    safe_distance=DISTANCES["safe"],
                    finalized_distance=DISTANCES["finalized"],
                    history_logs=HISTORY_LOGS,
                )
            )
            chain.watch(history.record)
            chain.mine(BLOCKS_BEFORE)
            subscribed, published = (
                subscribe(client, messages, chain_id, devchain_cases()),
                Published(server, chain_id),
            )
            stack.callback(published.client.close)
            trials.append(Trial(chain, history, subscribed, receivers, published, number, abort))
        yield trials


def like_of(trial: Trial) -> str:
    """The name of the profile of the trial's chain, or ""."""
    assert isinstance(trial.chain, RunningDevchain)
    return str(trial.chain.stats()["like"])


def start_rival(start_farm: StartFarm, server: RedisServer, trial: Trial) -> None:
    """Another farm's ingestor on the same chain: the first of the two publishes, the other goes on from there.

    It comes and goes as it likes: nothing depends on it.
    """
    chain = f"{trial.chain.chain_id}={trial.chain.ws_url}"
    options = (keys.EVENT_INGESTOR, "--chain", chain, "--from-block", "1")
    start_farm(*options, redis_url=server.url)


@pytest.mark.parametrize("size", ROUNDS)
def test_receivers_know_exactly_the_canonical_chain(
    redis_server: RedisServer, messages: MessageLog, start_farm: StartFarm, seed: int, table: Table, size: Round
) -> None:
    """`--chaos-seed N` without `--chaos` repeats the seeds from N on."""
    first = seed + size.offset
    chance = random.Random(first)
    with running_trials(redis_server, messages, size.trials, chance) as trials:
        farm = start_trial_farm(start_farm, redis_server.url, trials, chance)
        start_rival(start_farm, redis_server, trials[0])
        processes = Processes(farm.pid)

        def run(trial: Trial) -> None:
            with trial.abort.set_on_failure():
                play(trial)

        def play(trial: Trial) -> None:
            assert isinstance(trial.chain, RunningDevchain)
            for number in range(size.seeds):
                seed_of_trial = first + trial.number * size.seeds + number
                drawn = random.Random(seed_of_trial)
                victims = processes.victims(trial.number, drawn)
                storm = ChainStorm(
                    trial.chain,
                    drawn,
                    victims,
                    lambda: trial.history.highest,
                    trial.reached,
                    abort=trial.abort,
                    without=OMISSIONS if like_of(trial) in WITHOUT_WHOLE_BLOOM else frozenset(),
                )
                trial.run(seed_of_trial, victims, storm.perform)
            trial.settle_tags(processes.victims(trial.number, random.Random(first)))

        with ThreadPoolExecutor(len(trials)) as pool:
            done = [pool.submit(run, trial) for trial in trials]
        came_to = sum((trial.totals() for trial in trials), Totals())
        failed = [future for future in done if future.exception() and not isinstance(future.exception(), Aborted)]
        counts = (came_to.kills, came_to.emitted + came_to.removed, len(failed), came_to.repeated, 0.0)
        likes = ", ".join(like_of(trial) or "Ethereum" for trial in trials)
        table.add(Row("random chains, what receivers know", *counts, f"from {first}, like {likes}, {came_to}"))
        if failed:
            print(farm.stderr)
        for future in failed:
            future.result()
        assert came_to.repeated <= possible_duplicates(farm)
        with redis_server.client() as client:
            await_drained(client)
        for trial in trials:
            trial.compare_all()
        assert farm.stop() == 0
