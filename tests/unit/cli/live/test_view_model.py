from typing import Any

import pytest

from hookfarm.cli.live.view_model import (
    AuditCounts,
    ChainLine,
    EndpointsLine,
    NodeSummary,
    Quantiles,
    ServiceLine,
    ViewModelBuilder,
)


def snapshot(second: int, delivered: int, **status: Any) -> dict[str, Any]:
    timestamp = f"2026-11-22T18:00:{second:02d}.000Z"
    return {"services": {"webhook_delivery": {"timestamp": timestamp, "delivered": delivered, **status}}}


def test_a_whole_snapshot_becomes_a_view_model() -> None:
    found = snapshot(1, 5, ready=True, workers=50, workers_up=49, reason="x", status_age_ms=9500)
    found["delivery"] = {
        "activity": "bp",
        "delivered": 5,
        "failed_attempts": 2,
        "dead": 1,
        "post_ms": {"p50": 100, "p99": 200},
        "queued_to_delivered_ms": {"p50": None, "p99": None},
        "since_start": {"post_ms": {"p50": 300, "p99": 400}},
    }
    found["queue"] = {"queued": 1}
    found["chains"] = [{"chain_id": 7, "head": 3, "checkpoint": 2, "events_published": 9, "lag_ms": 1500}]
    found["streams"] = [{"chain_id": 7, "length": 4, "pending": 1, "lag": 3}]
    found["endpoints"] = {"total": 3, "enabled": 2, "circuit_open": 1}
    model = ViewModelBuilder().build(found, 4.0, {7: 5}, AuditCounts(10, 9), draining=True)
    assert model.services[1] == ServiceLine("webhook_delivery", True, 49, 50, "x", 9.5)
    assert model.chains == (ChainLine(7, 5, 2, 9, 4, 1.5),)
    assert model.chains[0].lag_blocks == 3
    assert (model.chains[0].nodes, model.backfills) == (None, ())
    assert (model.activity, model.delivered, model.failed_attempts, model.dead) == ("bp", 5, 2, 1)
    assert (model.post, model.queued_to_delivered) == (Quantiles(0.1, 0.2), Quantiles())
    assert model.post_since_start == Quantiles(0.3, 0.4)
    assert model.endpoints == EndpointsLine(3, 2, 1)
    assert (model.queue, model.audit, model.draining) == ({"queued": 1}, AuditCounts(10, 9), True)


@pytest.mark.parametrize(
    "found", [{}, {"services": {}}, {"services": {"webhook_delivery": {"reason": "not running"}}}]
)
def test_an_empty_snapshot_becomes_a_view_model_too(found: dict[str, Any]) -> None:
    model = ViewModelBuilder().build(found, 0.0)
    assert (model.delivered, model.per_second, model.recent, model.chains) == (None, None, (), ())
    assert not any(service.ready for service in model.services)


def test_the_rate_is_made_of_successive_snapshots() -> None:
    builder = ViewModelBuilder()
    builder.build(snapshot(1, 0), 0.0)
    model = builder.build(snapshot(2, 7), 1.0)
    assert (model.per_second, model.recent) == (7.0, (7.0,))


def test_nodes_and_backfills_are_of_the_snapshot() -> None:
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
    under_way = {"endpoint": "ep_1", "blocks": 1, "total": 4, "state": "running", "reason": "no node answers"}
    model = ViewModelBuilder().build({"chains": [behind], "backfills": [under_way]}, 0.0)
    problem = "chain 7: wss://one.example wrong chain: serves chain 5"
    assert model.chains[0].nodes == NodeSummary(1, 2, "wss://two.example", 2.5, (problem,))
    assert model.chains[0].catch_up == "catching up, 12.0 blocks/s, 1:05 left"
    assert model.backfills == ("ep_1: 25.0 % of 4 blocks, no node answers",)
