"""Chains, nodes and backfills in words."""

from dataclasses import replace
from typing import Any

import pytest

from hookfarm.backfill.state import Backfill
from hookfarm.cli import status_output
from hookfarm.event_stream import Checkpoint
from hookfarm.timestamps import format_ms

NOW = 1_700_000_000_000


def node(state: str, **fields: Any) -> dict[str, Any]:
    nothing: dict[str, Any] = {
        "cooldown_until": None,
        "last_error": "",
        "last_error_at": None,
        "requests": 0,
        "errors": {},
        "batch_calls": 100,
        "per_block": None,
        "per_day": None,
        "units_per_month": None,
        "units_this_month": None,
        "hedged": 0,
    }
    return {"name": f"wss://{state}.example", "kind": "ws", "state": state, **nothing, **fields}


COOLING = node(
    "cooldown", cooldown_until=format_ms(NOW + 12_400), last_error="HTTP 429\x1b[31m",
    last_error_at=format_ms(NOW - 65_000), requests=1234, errors={"rate_limited": 3, "refused": 1},
)  # fmt: skip
WRONG = node("wrong_chain", last_error="serves chain 5", last_error_at=format_ms(NOW))
CHAIN = {"chain_id": 7, "nodes": [COOLING, WRONG, node("active"), node("standby")]}


def test_a_node_that_cools_down_says_for_how_long_and_what_it_said() -> None:
    row = status_output.node_row(7, COOLING, NOW)
    assert row[:6] == ("7", "wss://cooldown.example", "cooldown", "12 s", "1,234", "4")
    assert row[6] == "HTTP 429\\x1b[31m (1:05 ago)"
    assert len(row) == len(status_output.NODE_HEADINGS)


def test_a_node_that_never_failed_has_no_error() -> None:
    assert status_output.node_row(7, node("active"), NOW)[2:] == ("active", "-", "0", "0", "")


def test_the_cost_of_a_node_is_shown_per_block_and_per_day() -> None:
    block = {"requests": 1.0, "calls": 2.0, "bytes_sent": 200.0, "bytes_received": 4_800.0, "units": 80.0}
    day = {name: 7_200 * value for name, value in block.items()}
    used = {"units_per_month": 30_000_000, "units_this_month": 12_400_000, "hedged": 12, "hedges_won": 9}
    row = status_output.cost_row(7, node("active", per_block=block, per_day=day, **used))
    assert row[2:6] == ("100", "1.0", "2.0", "5.0")
    assert row[6:10] == ("7,200", "14,400", "36.0", "576,000")
    assert row[10:] == ("12,400,000 of 30,000,000", "12, 9 won")
    assert len(row) == len(status_output.COST_HEADINGS)


def test_a_cost_that_is_not_known_yet_is_a_dash() -> None:
    assert status_output.cost_row(7, node("standby"))[2:] == ("100", *("-",) * 8, "0")


def test_a_rest_until_the_month_turns_is_shown_in_days() -> None:
    until = format_ms(NOW + 20 * 86_400_000)
    row = status_output.node_row(7, node("over_budget", cooldown_until=until), NOW)
    assert row[2:4] == ("over budget", "20.0 days")


def test_problems_are_the_nodes_that_are_in_cooldown() -> None:
    assert list(status_output.node_problems(CHAIN, NOW)) == [
        "chain 7: wss://cooldown.example cooldown, retry in 12 s: HTTP 429\\x1b[31m",
        "chain 7: wss://wrong_chain.example wrong chain: serves chain 5",
    ]
    assert status_output.usable_nodes(CHAIN) == (2, 4)
    assert status_output.active_node(CHAIN) == "wss://active.example"


@pytest.mark.parametrize("chain", [{"chain_id": 7}, {"chain_id": 7, "nodes": []}])
def test_a_chain_of_whose_nodes_nothing_is_known_has_none(chain: dict[str, Any]) -> None:
    assert (status_output.usable_nodes(chain), status_output.active_node(chain)) == ((0, 0), "-")
    assert list(status_output.node_problems(chain, NOW)) == []


def test_catching_up_has_a_speed_and_a_time() -> None:
    assert status_output.catch_up({"catch_up": None}) == ""
    going = {"catch_up": {"blocks_per_second": 12.0, "remaining_ms": 65_000}}
    assert status_output.catch_up(going) == "catching up, 12.0 blocks/s, 1:05 left"


RUNNING = Backfill(
    name="ep_1:7:1:4000:", endpoint="ep_1", chain_id=7, from_block=1, to_block=4000, subscription=None,
    position=Checkpoint(1000, "0xa"), blocks=1000, logs_received=9000, delivered_new=1200, already_delivered=5,
    started_ms=0, done_ms=None, since_heartbeat_ms=1000, per_second=50.0, queued=310,
)  # fmt: skip
STUCK = replace(RUNNING, reason="no node answers\x1b[31m")
KILLED = replace(RUNNING, since_heartbeat_ms=65_000, lock_ms=7_000)


def test_a_row_says_how_far_how_fast_and_how_long() -> None:
    row = status_output.backfill_row(RUNNING.public())
    progress = ("running", "1,000", "25.0 %", "50.0", "1:00")
    assert row == ("ep_1", "7", "1-4,000", *progress, "9,000", "1,200", "5", "310", "")
    assert len(row) == len(status_output.BACKFILL_HEADINGS)


def test_a_line_of_the_status_says_it_too() -> None:
    assert status_output.backfill_line(RUNNING.public()) == (
        "backfill ep_1  chain 7  blocks 1 to 4,000  at block 1,000  25.0 %  50.0 blocks/s  1:00 left  "
        "new 1,200  queued 310  running"
    )
    before = replace(RUNNING, position=None, blocks=0).public()
    assert "before its first block  0.0 %" in status_output.backfill_line(before)


def test_one_that_does_not_get_on_says_why() -> None:
    assert status_output.backfill_line(STUCK.public()).endswith("- left  new 1,200  queued 310  running: "
                                                               "no node answers\\x1b[31m")  # fmt: skip
    assert (
        status_output.backfill_summary(STUCK.public()) == "ep_1: 25.0 % of 4,000 blocks, no node answers\\x1b[31m"
    )


def test_one_that_is_silent_says_since_when_and_what_it_still_holds() -> None:
    reason = "no heartbeat for 1:05, locks its endpoint for 7 s more"
    assert status_output.backfill_line(KILLED.public()).endswith(f"new 1,200  queued 310  stopped: {reason}")
    assert status_output.backfill_summary(KILLED.public()) == f"ep_1: 25.0 % of 4,000 blocks, {reason}"
    assert status_output.backfill_problem(replace(KILLED, lock_ms=None).public()) == "no heartbeat for 1:05"


def test_one_that_is_done_has_nothing_to_say() -> None:
    done = replace(RUNNING, blocks=4000, done_ms=1, since_heartbeat_ms=900_000).public()
    assert status_output.backfill_row(done)[3:8] == ("done", "4,000", "100.0 %", "-", "-")
    assert status_output.backfill_problem(done) == ""
