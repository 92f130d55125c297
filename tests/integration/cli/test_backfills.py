"""Backfills and the nodes of chains in the terminal: `backfills`, `chains`, `status`, `top`."""

import json
from typing import Any

import pytest

from hookfarm.records import Endpoint
from hookfarm.registry.store import Registry
from hookfarm.store import keys
from tests.support.backfill_queue import fill, name, start
from tests.support.delivery import CHAIN_ID, job, set_capacity
from tests.support.farm_status import publish_lasting
from tests.support.finished_command import done, refused, run

ONE, TWO = "ep_one", "ep_two"
FAR = "2096-10-02T07:06:40.000Z"
NODES = [
    {
        "name": "wss://one.example",
        "kind": "ws",
        "state": "cooldown",
        "cooldown_until": FAR,
        "last_error": "HTTP 429",
        "last_error_at": "1970-01-01T00:00:00.001Z",
        "requests": 1234,
        "calls": 1,
        "errors": {"refused": 4},
    },
    {
        "name": "https://two.example:8545",
        "kind": "http",
        "state": "active",
        "cooldown_until": None,
        "last_error": "",
        "last_error_at": None,
        "requests": 12,
        "calls": 1,
        "errors": {"refused": 0},
    },
]
CHAIN = {
    "chain_id": 7, "head": 1100, "checkpoint": 1000, "lag_blocks": 100, "events_published": 3,
    "rpc_requests_per_block": 1.5, "catch_up": {"blocks_per_second": 12.0, "remaining_ms": 65_000}, "reason": "",
    "nodes": NODES,
}  # fmt: skip


@pytest.fixture
def begun(client: Any, redis_url: str) -> None:
    """A backfill whose signs of life last for ten minutes, and one that was killed ten minutes ago."""
    set_capacity(client, 1)
    for each in (ONE, TWO):
        Registry(client).add(Endpoint(each, "http://127.0.0.1:9/"))
    fill(redis_url, ONE, [job(ONE, f"past-{number}") for number in range(40)])
    start(client, TWO)
    client.zincrby(keys.BACKFILLS, 600_000, name(ONE))
    client.zincrby(keys.BACKFILLS, -600_000, name(TWO))


@pytest.fixture
def chain(client: Any) -> None:
    publish_lasting(client, keys.EVENT_INGESTOR, {"workers": 1, "workers_up": 1, "chains": [CHAIN]})


def test_backfills_are_listed_with_how_far_they_are(begun: None, redis_url: str) -> None:
    heading, one, two = done(run(redis_url, "backfills")).splitlines()
    assert heading.split()[:5] == ["endpoint", "chain", "blocks", "state", "read"]
    assert one.split()[:7] == [ONE, str(CHAIN_ID), "1-9", "running", "1", "11.1", "%"]
    assert "no heartbeat for 10:" in two
    [row] = json.loads(done(run(redis_url, "backfills", "--state", "stopped", "--json")))
    assert (row["endpoint"], row["state"], row["blocks"], row["total"]) == (TWO, "stopped", 0, 9)
    [row] = json.loads(done(run(redis_url, "backfills", "--endpoint", ONE, "--json")))
    assert row["queued"] > 0


def test_more_backfills_than_asked_for_are_announced(begun: None, redis_url: str) -> None:
    said = run(redis_url, "backfills", "--limit", "1")
    assert said.stdout.count("\n") == 2
    assert "more than 1 backfills; raise --limit" in said.stderr


def test_a_state_that_is_none_is_refused(redis_url: str) -> None:
    said = refused(run(redis_url, "backfills", "--state", "asleep"), 2)
    assert said == "hookfarm: --state: 'asleep' is unknown; allowed are running, stopped, done"


def test_chains_are_followed_by_their_nodes(chain: None, redis_url: str) -> None:
    _, seven, nothing, heading, one, two, between, *cost = done(run(redis_url, "chains")).splitlines()
    assert "12.0 blocks/s, 1:05 left" in seven
    assert nothing == ""
    assert heading.split()[:4] == ["chain", "node", "state", "retry"]
    assert one.split()[:3] == ["7", "wss://one.example", "cooldown"]
    assert "1,234     4       HTTP 429 (" in one
    assert two.split() == ["7", "https://two.example:8545", "active", "-", "12", "0"]
    assert between == ""
    assert [line.split()[:2] for line in cost] == [
        ["chain", "node"],
        ["7", "wss://one.example"],
        ["7", "https://two.example:8545"],
    ]
    [found] = json.loads(done(run(redis_url, "chains", "--json")))
    assert found["nodes"] == NODES


def test_the_status_has_nodes_what_a_block_costs_and_backfills(begun: None, chain: None, redis_url: str) -> None:
    lines = done(run(redis_url, "status")).splitlines()
    place = "chain 7  head 1,100  checkpoint 1,000  lag 100 blocks"
    cost = "requests/block 1.5  node https://two.example:8545"
    assert f"{place}  {cost}  catching up, 12.0 blocks/s, 1:05 left" in lines
    [trouble] = [line for line in lines if line.startswith("  chain 7: wss://one.example cooldown, retry in ")]
    assert trouble.endswith("s: HTTP 429")
    [one, two] = [line for line in lines if line.startswith("backfill ep_")][::-1]
    assert one.startswith(f"backfill {ONE}  chain {CHAIN_ID}  blocks 1 to 9  at block 1  11.1 %  ")
    assert one.endswith("  running")
    assert "stopped: no heartbeat for 10:" in two
    found = json.loads(done(run(redis_url, "status", "--json")))
    assert found["chains"][0]["nodes"] == NODES
    assert [row["state"] for row in found["backfills"]] == ["stopped", "running"]


def test_top_has_them_too(begun: None, chain: None, redis_url: str) -> None:
    said = done(run(redis_url, "top", "--once"))
    assert "1 of 2  1.5 req/block" in said
    assert "chain 7: https://two.example:8545 is active" in said
    assert "chain 7: wss://one.example cooldown, retry in " in said
    assert "chain 7: catching up, 12.0 blocks/s, 1:05 left" in said
    assert f"backfill {ONE}: 11.1 % of 9 blocks" in said
    assert f"backfill {TWO}: 0.0 % of 9 blocks, no heartbeat for 10:" in said
