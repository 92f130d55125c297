"""Monthly budgets of nodes: counted in Redis, a rest until the turn of the month, and what is said meanwhile."""

import asyncio
import logging
from datetime import UTC, datetime

import pytest

from hookfarm.chain.budget import Budget, kept_in_redis
from hookfarm.config import NodeConfig
from hookfarm.devchain.embedded import RunningDevchain
from hookfarm.event_ingestor import telemetry
from hookfarm.event_ingestor.node_telemetry import NodeStatus
from hookfarm.store import clients
from hookfarm.store.clients import RetryingClient
from tests.support.ingestor import (
    CHAIN,
    TRANSPORTS,
    Published,
    RunningIngestor,
    canonical,
    running_ingestor,
    url_of,
)
from tests.support.waiting import eventually

JANUARY = datetime(2027, 1, 1, tzinfo=UTC).timestamp()
URL = "https://paid.example/canary"


class Clock:
    """Unix time, an hour before the end of the year."""

    def __init__(self) -> None:
        self.now = JANUARY - 3_600

    def __call__(self) -> float:
        return self.now


def nodes(ingestor: RunningIngestor) -> list[NodeStatus]:
    return telemetry.report([ingestor.slot])["chains"][0]["nodes"]


def reached(published: Published) -> int:
    checkpoint = published.checkpoint()
    return 0 if checkpoint is None else checkpoint.number


def spend(redis_url: str, budget: Budget, units: int) -> bool:
    """Spends units in a process of its own."""

    async def run() -> bool:
        async with clients.async_client(redis_url) as client:
            redis = RetryingClient(client, lambda error: pytest.fail(str(error)))
            async with kept_in_redis(redis, [budget]):
                return budget.spend(units)

    return asyncio.run(run())


def test_units_of_all_hosts_and_restarts_add_up_and_the_month_turns(redis_url: str) -> None:
    clock = Clock()
    used: list[int] = []
    for _ in range(4):
        budget = Budget(URL, 100, clock)
        budget.on_used = used.append
        assert spend(redis_url, budget, 25)
    assert used == [0, 25, 25, 50, 50, 75, 75, 100]
    late = Budget(URL, 100, clock)
    assert not spend(redis_url, late, 1)
    assert late.rest_seconds() == 3_600
    assert late.problem == "monthly budget of 100 units used up until 2027-01-01T00:00:00Z"
    assert spend(redis_url, Budget(URL, 200, clock), 1), "a larger budget is not used up"
    assert spend(redis_url, Budget(f"{URL}2", 100, clock), 1), "another key has a budget of its own"
    clock.now = JANUARY
    assert late.rest_seconds() == 0
    assert spend(redis_url, late, 1)


def test_the_key_in_redis_shows_no_secret_and_expires(published: Published, redis_url: str) -> None:
    assert spend(redis_url, Budget(URL, 100, Clock()), 7)
    [key] = published.client.keys("hookfarm:node_units:2026-12:*")
    assert "canary" not in key.decode()
    assert published.client.get(key) == b"7"
    assert published.client.ttl(key) > 40 * 86_400


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_node_without_budget_rests_until_the_month_turns(
    devchain: RunningDevchain, redis_url: str, published: Published, transport: str,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    clock = Clock()
    caplog.set_level(logging.WARNING)
    with devchain.peer() as paid:
        urls, budgets = [url_of(paid, transport), devchain.ws_url], (NodeConfig(60),)
        with running_ingestor(CHAIN, urls, redis_url, from_block=1, wall_clock=clock, nodes=budgets) as ingestor:

            def rests() -> bool:
                devchain.mine(1)
                return nodes(ingestor)[0]["state"] == "over_budget"

            eventually(rests, what="the node over its budget")
            published.wait_for(devchain)
            eventually(lambda: nodes(ingestor)[1]["state"] == "active", what="the other node active")
            assert nodes(ingestor)[0]["last_error"].startswith(
                "monthly budget of 60 units used up until 2027-01-01"
            )
            assert nodes(ingestor)[0]["units_per_month"] == 60
            asked = sum(paid.stats()["requests"].values())
            for _ in range(3):
                devchain.mine(1)
                published.wait_for(devchain)
            assert sum(paid.stats()["requests"].values()) == asked
            [said] = [record for record in caplog.records if record.message == "node over budget"]
            assert "monthly budget of 60 units used up" in str(vars(said)["fields"])
            clock.now = JANUARY + 5

            def returned() -> bool:
                devchain.mine(1)
                return nodes(ingestor)[0]["state"] == "active"

            eventually(returned, what="the node in use again")
            published.wait_for(devchain)
        assert published.entries() == canonical(devchain)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_while_all_nodes_rest_the_chain_is_stalled_with_that_reason(
    devchain: RunningDevchain, redis_url: str, published: Published, transport: str
) -> None:
    clock = Clock()
    url, budgets = url_of(devchain, transport), (NodeConfig(1_000, {"eth_getLogs": 100, "other": 0}),)
    with running_ingestor(CHAIN, url, redis_url, from_block=1, wall_clock=clock, nodes=budgets) as ingestor:

        def stalls() -> bool:
            devchain.mine(1)
            head = devchain.head().number
            eventually(lambda: ingestor.stalled or reached(published) == head, what="the block or the stall")
            return ingestor.stalled

        eventually(stalls, what="the stalled chain")
        assert "monthly budget of 1,000 units used up until 2027-01-01T00:00:00Z" in ingestor.slot.reason
    with running_ingestor(
        CHAIN, url, redis_url, wall_clock=clock, nodes=budgets, wait=False
    ) as ingestor:  # A restart does not begin a new budget.
        eventually(lambda: "monthly budget" in ingestor.slot.reason, what="the reason after a restart")
        assert not ingestor.up
        clock.now = JANUARY + 5
        published.wait_for(devchain)
        eventually(lambda: ingestor.up, what="the ingestor being up in the new month")
    assert ingestor.error is None
    assert published.entries() == canonical(devchain)
