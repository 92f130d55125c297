from typing import Any

import pytest

from hookfarm.cli.view_poller import Poller
from hookfarm.cli.view_snapshot import ChainLine, Proof, Quantiles, ServiceLine


def picture(second: float, delivered: int, **status: Any) -> dict[str, Any]:
    timestamp = f"2026-11-22T18:{int(second) // 60:02d}:{second % 60:06.3f}Z"
    return {"services": {"webhook_delivery": {"timestamp": timestamp, "delivered": delivered, **status}}}


def test_a_whole_picture_becomes_a_snapshot() -> None:
    told = picture(
        1, 5, ready=True, workers=50, workers_up=49, why="x", activity="bp", failed_attempts=2, dead=1,
        post_seconds={"p50": 0.1, "p99": 0.2}, queued_to_delivered_seconds={"p50": None, "p99": None},
    )  # fmt: skip
    told["queue"] = {"queued": 1}
    told["chains"] = [{"chain_id": 7, "head": 3, "checkpoint": 2, "events_published": 9}]
    snapshot = Poller().snapshot(told, 4.0, {7: 5}, Proof(10, 9), draining=True)
    assert snapshot.services[1] == ServiceLine("webhook_delivery", True, 49, 50, "x")
    assert snapshot.chains == (ChainLine(7, 5, 2, 9),)
    assert snapshot.chains[0].lag_blocks == 3
    assert (snapshot.activity, snapshot.delivered, snapshot.failed_attempts, snapshot.dead) == ("bp", 5, 2, 1)
    assert (snapshot.post, snapshot.queued_to_delivered) == (Quantiles(0.1, 0.2), Quantiles())
    assert (snapshot.queue, snapshot.proof, snapshot.draining) == ({"queued": 1}, Proof(10, 9), True)


@pytest.mark.parametrize(
    "told", [{}, {"services": {}}, {"services": {"webhook_delivery": {"why": "not running"}}}]
)
def test_a_picture_with_nothing_in_it_becomes_a_snapshot_too(told: dict[str, Any]) -> None:
    snapshot = Poller().snapshot(told, 0.0)
    assert (snapshot.delivered, snapshot.per_second, snapshot.recent, snapshot.chains) == (None, None, (), ())
    assert not any(service.ready for service in snapshot.services)


def test_the_rate_is_the_mean_of_the_last_five_seconds_by_the_clock_of_the_farm() -> None:
    poller = Poller()
    totals = [0, 1000, 1000, 1010, 1020, 1030, 1040, 1050]
    snapshots = [poller.snapshot(picture(second, total), 0.0) for second, total in enumerate(totals)]
    assert snapshots[0].per_second is None
    assert snapshots[1].per_second == 1000
    assert snapshots[-1].per_second == 10


def test_a_status_read_twice_counts_once() -> None:
    poller = Poller()
    for second in (0, 0, 1, 1, 1):
        snapshot = poller.snapshot(picture(second, 10 * second), 0.0)
    assert snapshot.recent == (10.0,)


def test_there_is_one_bar_a_second_however_often_the_farm_writes() -> None:
    poller = Poller()
    for half in range(9):
        snapshot = poller.snapshot(picture(half / 2, 50 * (half // 2)), 0.0)
    assert snapshot.recent == (50.0,) * 4


def test_a_farm_that_began_anew_begins_a_new_rate() -> None:
    poller = Poller()
    poller.snapshot(picture(1, 1000), 0.0)
    poller.snapshot(picture(2, 0), 0.0)
    snapshot = poller.snapshot(picture(3, 7), 0.0)
    assert (snapshot.per_second, snapshot.recent) == (7.0, (7.0,))
