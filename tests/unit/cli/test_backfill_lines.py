"""How backfills are told to people."""

from dataclasses import replace

from hookfarm.backfill.state import Backfill
from hookfarm.cli import backfill_lines
from hookfarm.event_stream import Checkpoint

RUNNING = Backfill(
    name="ep_1:7:1:4000:", endpoint="ep_1", chain_id=7, from_block=1, to_block=4000, subscription=None,
    at=Checkpoint(1000, "0xa"), blocks=1000, events=9000, added=1200, known=5, started_ms=0, done_ms=None,
    silent_ms=1000, per_second=50.0, waiting=310,
)  # fmt: skip
STUCK = replace(RUNNING, note="no node answers\x1b[31m")
KILLED = replace(RUNNING, silent_ms=65_000, held_ms=7_000)


def test_a_row_says_how_far_how_fast_and_how_long() -> None:
    row = backfill_lines.row(RUNNING.public())
    assert row == ("ep_1", "7", "1-4,000", "running", "1,000", "25.0 %", "50.0", "1:00", "1,200", "5", "310", "")
    assert len(row) == len(backfill_lines.HEADINGS)


def test_a_line_of_the_status_says_it_too() -> None:
    assert backfill_lines.status_line(RUNNING.public()) == (
        "backfill ep_1  chain 7  blocks 1 to 4,000  at block 1,000  25.0 %  50.0 blocks/s  1:00 left  "
        "added 1,200  waiting 310  running"
    )
    before = replace(RUNNING, at=None, blocks=0).public()
    assert "before its first block  0.0 %" in backfill_lines.status_line(before)


def test_one_that_does_not_get_on_says_why() -> None:
    assert backfill_lines.status_line(STUCK.public()).endswith("- left  added 1,200  waiting 310  running: "
                                                               "no node answers\\x1b[31m")  # fmt: skip
    assert backfill_lines.brief(STUCK.public()) == "ep_1: 25.0 % of 4,000 blocks, no node answers\\x1b[31m"


def test_one_that_is_silent_says_since_when_and_what_it_still_holds() -> None:
    said = "no heartbeat for 1:05, locks its endpoint for 7 s more"
    assert backfill_lines.status_line(KILLED.public()).endswith(f"added 1,200  waiting 310  stopped: {said}")
    assert backfill_lines.brief(KILLED.public()) == f"ep_1: 25.0 % of 4,000 blocks, {said}"
    assert backfill_lines.why(replace(KILLED, held_ms=None).public()) == "no heartbeat for 1:05"


def test_one_that_is_done_has_nothing_to_say() -> None:
    done = replace(RUNNING, blocks=4000, done_ms=1, silent_ms=900_000).public()
    assert backfill_lines.row(done)[3:8] == ("done", "4,000", "100.0 %", "-", "-")
    assert backfill_lines.why(done) == ""
