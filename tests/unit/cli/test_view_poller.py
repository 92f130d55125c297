from typing import Any

import pytest

from hookfarm.cli.view_poller import Poller
from hookfarm.cli.view_snapshot import ChainLine, Endpoints, Nodes, Proof, Quantiles, ServiceLine


def picture(second: int, delivered: int, **status: Any) -> dict[str, Any]:
    timestamp = f"2026-11-22T18:00:{second:02d}.000Z"
    return {"services": {"webhook_delivery": {"timestamp": timestamp, "delivered": delivered, **status}}}


def test_a_whole_picture_becomes_a_snapshot() -> None:
    told = picture(1, 5, ready=True, workers=50, workers_up=49, reason="x", status_age_ms=9500)
    told["delivery"] = {
        "activity": "bp",
        "delivered": 5,
        "failed_attempts": 2,
        "dead": 1,
        "post_ms": {"p50": 100, "p99": 200},
        "queued_to_delivered_ms": {"p50": None, "p99": None},
        "since_start": {"post_ms": {"p50": 300, "p99": 400}},
    }
    told["queue"] = {"queued": 1}
    told["chains"] = [{"chain_id": 7, "head": 3, "checkpoint": 2, "events_published": 9, "lag_ms": 1500}]
    told["streams"] = [{"chain_id": 7, "length": 4, "pending": 1, "lag": 3}]
    told["endpoints"] = {"total": 3, "enabled": 2, "circuit_open": 1}
    snapshot = Poller().snapshot(told, 4.0, {7: 5}, Proof(10, 9), draining=True)
    assert snapshot.services[1] == ServiceLine("webhook_delivery", True, 49, 50, "x", 9.5)
    assert snapshot.chains == (ChainLine(7, 5, 2, 9, 4, 1.5),)
    assert snapshot.chains[0].lag_blocks == 3
    assert (snapshot.chains[0].nodes, snapshot.backfills) == (None, ())
    assert (snapshot.activity, snapshot.delivered, snapshot.failed_attempts, snapshot.dead) == ("bp", 5, 2, 1)
    assert (snapshot.post, snapshot.queued_to_delivered) == (Quantiles(0.1, 0.2), Quantiles())
    assert snapshot.post_since_start == Quantiles(0.3, 0.4)
    assert snapshot.endpoints == Endpoints(3, 2, 1)
    assert (snapshot.queue, snapshot.proof, snapshot.draining) == ({"queued": 1}, Proof(10, 9), True)


@pytest.mark.parametrize(
    "told", [{}, {"services": {}}, {"services": {"webhook_delivery": {"reason": "not running"}}}]
)
def test_a_picture_with_nothing_in_it_becomes_a_snapshot_too(told: dict[str, Any]) -> None:
    snapshot = Poller().snapshot(told, 0.0)
    assert (snapshot.delivered, snapshot.per_second, snapshot.recent, snapshot.chains) == (None, None, (), ())
    assert not any(service.ready for service in snapshot.services)


def test_the_rate_is_made_of_successive_pictures() -> None:
    poller = Poller()
    poller.snapshot(picture(1, 0), 0.0)
    snapshot = poller.snapshot(picture(2, 7), 1.0)
    assert (snapshot.per_second, snapshot.recent) == (7.0, (7.0,))


def test_nodes_and_backfills_are_of_the_picture() -> None:
    nodes = [
        {
            "name": "wss://one.example",
            "state": "wrong_chain",
            "cooldown_until": None,
            "last_error": "serves chain 5",
        },
        {"name": "wss://two.example", "state": "active", "cooldown_until": None, "last_error": ""},
    ]
    chain = {"chain_id": 7, "head": 3, "checkpoint": 2, "rpc_requests_per_block": 2.5, "nodes": nodes}
    behind = {**chain, "catch_up": {"blocks_per_second": 12.0, "remaining_ms": 65_000}}
    under_way = {"endpoint": "ep_1", "blocks": 1, "total": 4, "state": "running", "note": "no node answers"}
    snapshot = Poller().snapshot({"chains": [behind], "backfills": [under_way]}, 0.0)
    trouble = "chain 7: wss://one.example wrong chain: serves chain 5"
    assert snapshot.chains[0].nodes == Nodes(1, 2, "wss://two.example", 2.5, (trouble,))
    assert snapshot.chains[0].catch_up == "catching up, 12.0 blocks/s, 1:05 left"
    assert snapshot.backfills == ("ep_1: 25.0 % of 4 blocks, no node answers",)
