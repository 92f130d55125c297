"""`hookfarm start` with more chains than ingestors: several chains in one process."""

import os
import re
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from hookfarm.devchain.embedded import RunningDevchain, running_devchain
from hookfarm.store import keys
from tests.support.farm_processes import FarmProcess
from tests.support.pipeline import Pipeline, body
from tests.support.waiting import eventually

CHAINS = (31337, 31338, 31339)
LOGS = 2
FEW = ("--workers", "2", "--ingestors", "1", "--from-block", "1")


@pytest.fixture
def chains() -> Iterator[tuple[RunningDevchain, ...]]:
    with ExitStack() as stack:
        yield tuple(
            stack.enter_context(running_devchain(chain_id=chain_id, logs_per_block=LOGS)) for chain_id in CHAINS
        )


def chain_options(*chains: RunningDevchain) -> list[str]:
    return [each for chain in chains for each in ("--chain", f"{chain.chain_id}={chain.ws_url}")]


def ingestors(farm: FarmProcess) -> list[str]:
    return [name for name in farm.children() if name.startswith(keys.EVENT_INGESTOR)]


def ready_chains(farm: FarmProcess) -> set[int]:
    return {chain_id for chain_id in CHAINS if farm.is_ready(keys.ingestor_of(chain_id))}


def await_all_logs(pipeline: Pipeline, *chains: RunningDevchain) -> None:
    """Wait until each log of the chains has arrived exactly once."""

    def received() -> Counter[tuple[int, str, int]]:
        logs = (body(each)["data"] for each in pipeline.receiver.received)
        return Counter((log["chain_id"], log["block_hash"], log["log_index"]) for log in logs)

    expected = {
        (chain.chain_id, log["blockHash"], int(log["logIndex"], 16))
        for chain in chains
        for log in chain.canonical_logs()
    }
    eventually(lambda: received().keys() >= expected, what="all logs")
    assert received() == Counter(expected)


def test_one_process_follows_all_chains_and_a_killed_one_is_continued(
    pipeline: Pipeline, chains: tuple[RunningDevchain, ...]
) -> None:
    farm = pipeline.start(*FEW, *chain_options(*chains))
    assert ingestors(farm) == ["event_ingestor 0"]
    assert ready_chains(farm) == set(CHAINS)
    for chain in chains:
        pipeline.add_endpoint(chain.chain_id)
        chain.mine(2)
    await_all_logs(pipeline, *chains)
    for _ in range(2):
        process = farm.children()["event_ingestor 0"]
        os.kill(process.pid, signal.SIGKILL)
        for chain in chains:
            chain.mine(1)
        await_all_logs(pipeline, *chains)
        assert farm.children()["event_ingestor 0"].pid != process.pid
    eventually(lambda: ready_chains(farm) == set(CHAINS), what="all chains being followed")
    assert farm.stop() == 0
    with farm.client() as client:
        assert client.keys(f"{keys.EVENT_INGESTOR}:*") == []


def test_a_stalled_chain_holds_up_no_neighbour_of_its_process(
    pipeline: Pipeline, chains: tuple[RunningDevchain, ...]
) -> None:
    dead, *others = chains
    farm = pipeline.start(*FEW, *chain_options(*chains))
    process = farm.children()["event_ingestor 0"]
    for chain in chains:
        pipeline.add_endpoint(chain.chain_id)
    dead.go_down()
    eventually(lambda: ready_chains(farm) == set(CHAINS[1:]), what="the withdrawal of one chain")
    for chain in others:
        chain.mine(2)
    await_all_logs(pipeline, *others)
    assert not farm.is_ready(keys.EVENT_INGESTOR)
    assert ready_chains(farm) == set(CHAINS[1:])
    dead.come_up()
    dead.mine(2)
    await_all_logs(pipeline, *chains)
    eventually(lambda: farm.is_ready(keys.EVENT_INGESTOR), what="all chains being followed")
    assert farm.children()["event_ingestor 0"].pid == process.pid, "the process was never replaced"
    assert farm.stop() == 0


def test_a_node_of_another_chain_holds_up_no_neighbour_of_its_process(
    pipeline: Pipeline, chains: tuple[RunningDevchain, ...]
) -> None:
    wrong, *others = chains
    farm = pipeline.start(*FEW, "--chain", f"7={wrong.ws_url}", *chain_options(*others))
    assert "event_ingestor (2 of 3 up)" in farm.stdout
    reason = f'chain failed chain=7 reason="chain 7: {wrong.ws_url} serves chain {wrong.chain_id}'
    eventually(lambda: len(re.findall(re.escape(reason), farm.stderr)) >= 2, what="its being tried again")
    for chain in others:
        pipeline.add_endpoint(chain.chain_id)
        chain.mine(2)
    await_all_logs(pipeline, *others)
    assert ready_chains(farm) == set(CHAINS[1:])
    assert "child died" not in farm.stderr
    assert farm.stop() == 0
