"""A backfill of one contract: few logs of the chain are transferred, and none is missed if a node omits some."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from hookfarm.backfill.state import Progress
from hookfarm.chain.filtered_reader import MAX_PIECE_BLOCKS
from hookfarm.devchain.embedded import Log, RunningDevchain, running_devchain
from tests.support.backfill import jobs_of, live_jobs, run_backfill, subscribed
from tests.support.ingestor import CHAIN, Published, canonical, running_ingestor
from tests.support.redis_server import RedisServer

BLOCKS = 3_000
SETTLED = BLOCKS - 100
"""Too deep for a reorg. Backfills read the blocks above, if nobody has watched them, with all logs."""
LOGS = 4
EVERY = 700
"""One block of the contract in so many blocks."""
CONTRACTS = [f"0x{'c0' * 19}{n:02x}" for n in range(3)]
OTHER = "0x" + "ee" * 20
PAID = "0x" + "7a" * 32
NAMED = "0x" + "7b" * 32


def contract_logs(contract: str) -> list[Log]:
    """Return the logs of one block: two of the contract, between those of another one."""
    others = [Log.parse(OTHER, [NAMED], f"0x{n:064x}") for n in range(LOGS - 2)]
    return [others[0], *(Log.parse(contract, [PAID], f"0x{n:064x}") for n in range(2)), *others[1:]]


def grow(chain: RunningDevchain, blocks: int, contracts: list[str]) -> None:
    """Mine blocks; one in EVERY has logs of a contract."""
    left = blocks
    for number in range(blocks // EVERY):
        chain.mine(EVERY - 1)
        chain.mine_logs(contract_logs(contracts[number % len(contracts)]), per_transaction=2)
        left -= EVERY
    chain.mine(left)


@pytest.fixture(scope="module")
def history() -> Iterator[RunningDevchain]:
    with running_devchain(chain_id=CHAIN, logs_per_block=LOGS) as chain:
        grow(chain, BLOCKS, CONTRACTS[:1])
        yield chain


@pytest.fixture
def devchain(history: RunningDevchain, redis_server: RedisServer) -> Iterator[RunningDevchain]:
    """The long chain, which has been watched up to its head, without faults."""
    watch(history, redis_server)
    yield history
    history.clear_faults()


def watch(chain: RunningDevchain, redis_server: RedisServer) -> None:
    published = Published(redis_server)
    with running_ingestor(CHAIN, chain.http_url, redis_server.url):
        published.wait_for(chain)
    published.client.close()


def logs_of(chain: RunningDevchain, *contracts: str) -> list[dict[str, Any]]:
    return [event for event in canonical(chain) if event["address"] in contracts]


def test_of_one_contract_at_most_one_log_in_a_hundred_is_transferred(
    client: Any, redis_url: str, devchain: RunningDevchain
) -> None:
    endpoint = subscribed(client, event=None, addresses=CONTRACTS[:1])
    before = devchain.stats()["logs_served"]
    progress = run_backfill(client, redis_url, endpoint, (devchain.http_url,), SETTLED)
    served = devchain.stats()["logs_served"] - before
    expected = logs_of(devchain, CONTRACTS[0])
    assert progress.delivered_new == len(expected) == 2 * (BLOCKS // EVERY)
    assert jobs_of(client) == live_jobs(endpoint, expected)
    assert len(expected) < served == progress.logs_received <= LOGS * SETTLED // 100


@pytest.mark.parametrize(
    "omission",
    [{"logs": 1}, {"logs": 1, "where": "first"}, {"logs": 10**6}],
    ids=["one of two logs", "the first log", "all logs"],
)
def test_no_log_is_missed_when_filtered_answers_omit_some(
    client: Any, redis_url: str, devchain: RunningDevchain, omission: dict[str, Any]
) -> None:
    devchain.set_fault("omitted_logs", answers="filtered", **omission)
    endpoint = subscribed(client, event=None, addresses=CONTRACTS[:1])
    run_backfill(client, redis_url, endpoint, (devchain.http_url,), BLOCKS)
    assert jobs_of(client) == live_jobs(endpoint, logs_of(devchain, CONTRACTS[0]))


def test_an_omitted_log_costs_no_further_logs(client: Any, redis_url: str, devchain: RunningDevchain) -> None:
    devchain.set_fault("omitted_logs", answers="filtered", logs=10**6)
    endpoint = subscribed(client, event=None, addresses=CONTRACTS[:1])
    progress = run_backfill(client, redis_url, endpoint, (devchain.http_url,), SETTLED)
    assert progress.logs_received <= LOGS * SETTLED // 100


@pytest.mark.parametrize(
    ("fault", "parameters"),
    [
        ("omitted_logs", {"count": 10}),
        ("capped_results", {"count": 3, "logs": 1}),
        ("refused_ranges", {"blocks": 5}),
        ("refused_results", {"logs": 3}),
        ("refused_filters", {"values": 0}),
        ("refused_batches", {"calls": 3}),
        ("error", {"count": 9, "method": "eth_getLogs"}),
        ("nulls", {"count": 4, "method": "eth_getBlockByNumber"}),
        ("http_status", {"count": 3, "status": 429, "retry_after": 0}),
        ("http_status", {"count": 3, "status": 500}),
        ("cut", {"count": 3}),
        ("half_frame", {"count": 2}),
        ("lag", {"count": 20, "blocks": 4_000, "one_in": 2}),
    ],
)
def test_no_fault_of_a_provider_costs_a_log(
    client: Any, redis_url: str, devchain: RunningDevchain, fault: str, parameters: dict[str, Any]
) -> None:
    endpoint, began = subscribed(client, event=None, addresses=CONTRACTS[:1]), False

    def break_it(_work: "asyncio.Task[None]", _progress: Progress) -> None:
        nonlocal began
        if not began:
            began = True
            devchain.set_fault(fault, **parameters)

    run_backfill(client, redis_url, endpoint, (devchain.http_url,), BLOCKS, break_it)
    assert began
    assert jobs_of(client) == live_jobs(endpoint, logs_of(devchain, CONTRACTS[0]))


@pytest.mark.parametrize("addresses", [1, 2, 10])
def test_of_several_contracts_few_logs_are_transferred_too(
    client: Any, redis_server: RedisServer, addresses: int
) -> None:
    """Also from a node that allows fewer addresses in a filter."""
    with running_devchain(chain_id=CHAIN, logs_per_block=LOGS) as chain:
        grow(chain, 3 * EVERY + 100, CONTRACTS)
        watch(chain, redis_server)
        chain.set_fault("refused_filters", values=addresses)
        endpoint = subscribed(client, event=None, addresses=CONTRACTS)
        progress = run_backfill(client, redis_server.url, endpoint, (chain.http_url,), 3 * EVERY)
        assert jobs_of(client) == live_jobs(endpoint, logs_of(chain, *CONTRACTS))
        assert progress.logs_received <= LOGS * 3 * EVERY // 100


@pytest.mark.parametrize("refused", [{"values": 0}, {"values": 1}])
def test_filters_that_a_node_refuses_are_no_reason_to_stop(
    client: Any, redis_url: str, devchain: RunningDevchain, refused: dict[str, int]
) -> None:
    devchain.set_fault("refused_filters", **refused)
    endpoint = subscribed(client, event=None, addresses=CONTRACTS[:1], topics=[[PAID, NAMED]])
    progress = run_backfill(client, redis_url, endpoint, (devchain.http_url,), SETTLED)
    assert jobs_of(client) == live_jobs(endpoint, logs_of(devchain, CONTRACTS[0]))
    assert progress.logs_received >= LOGS * SETTLED


@pytest.mark.parametrize(
    ("fault", "parameters"),
    [
        ("hidden_blooms", {"shown": "zeros"}),
        ("hidden_blooms", {"shown": "null"}),
        ("constant_blooms", {"shown": "ones"}),
        ("constant_blooms", {"shown": "some"}),
        ("blooms_without_system_logs", {}),
    ],
)
def test_on_a_chain_whose_blooms_prove_less_nothing_is_missed(
    client: Any, redis_server: RedisServer, fault: str, parameters: dict[str, Any]
) -> None:
    with running_devchain(chain_id=CHAIN, logs_per_block=LOGS) as chain:
        chain.mine(40)
        chain.mine_logs(contract_logs(CONTRACTS[0]), per_transaction=2)
        chain.mine(40)
        chain.mine_logs([*contract_logs(OTHER), *contract_logs(CONTRACTS[0])[1:3]], per_transaction=LOGS)
        chain.mine(MAX_PIECE_BLOCKS)
        watch(chain, redis_server)
        chain.set_fault(fault, **parameters)
        endpoint = subscribed(client, event=None, addresses=CONTRACTS[:1])
        run_backfill(client, redis_server.url, endpoint, (chain.http_url,), chain.head().number)
        assert len(logs_of(chain, CONTRACTS[0])) == 4
        assert jobs_of(client) == live_jobs(endpoint, logs_of(chain, CONTRACTS[0]))


def test_a_reorg_after_it_removes_all_events_of_the_blocks_below_the_first_published_one(
    client: Any, redis_server: RedisServer
) -> None:
    """The remembered blocks have all logs, not only those of the filter."""
    with running_devchain(chain_id=CHAIN, logs_per_block=LOGS) as chain:
        chain.mine(90)
        chain.mine_logs(contract_logs(CONTRACTS[0]), per_transaction=2)
        chain.mine(9)
        watch(chain, redis_server)
        endpoint = subscribed(client, event=None, addresses=CONTRACTS[:1])
        assert run_backfill(client, redis_server.url, endpoint, (chain.http_url,), 100).delivered_new == 2
        removed = sum(block.log_count for block in chain.reorg(20).removed)
        published = Published(redis_server)
        with running_ingestor(CHAIN, chain.http_url, redis_server.url):
            published.wait_for(chain)
        assert published.removed() == removed == 20 * LOGS
        published.client.close()
