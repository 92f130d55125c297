"""The live view, rendered to text."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from hookfarm.cli.live.view import FarmView
from hookfarm.cli.live.view_model import (
    AuditCounts,
    ChainLine,
    EndpointsLine,
    NodeSummary,
    Quantiles,
    ServiceLine,
    ViewModel,
)

READY = (
    ServiceLine("message_processor", True, 1, 1, ""),
    ServiceLine("webhook_delivery", True, 50, 50, ""),
    ServiceLine("event_ingestor", True, 1, 1, ""),
)
NODES = NodeSummary(1, 1, "wss://one.example", 2.0)
FULL = ViewModel(
    seconds=72.4,
    services=READY,
    chains=(ChainLine(31337, 1234, 1233, 61650, 42, 12.0, NODES),),
    activity="b" * 40 + "p" * 6 + "rrrs",
    delivered=61500,
    failed_attempts=2,
    dead=1,
    per_second=51.25,
    recent=(0.0, 25.0, 50.0),
    post=Quantiles(0.0012, 0.0084),
    queued_to_delivered=Quantiles(0.0031, 0.042),
    queue={"queued": 7, "open": 12, "parked": 5, "retry": 3, "dead": 1, "unconfirmed": 4},
    endpoints=EndpointsLine(12, 9, 2),
    audit=AuditCounts(61700, 61512, ("12:00:00.000  Transfer  value=1",)),
)


def shown(model: ViewModel, width: int = 80, *, encoding: str = "utf-8") -> str:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True)
    Console(file=file, width=width, force_terminal=False, color_system=None).print(
        FarmView(model, "hookfarm demo")
    )
    buffer = file.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode(encoding)


@pytest.mark.parametrize(
    "words",
    [
        "hookfarm demo  1:12",
        "ready",
        "chain 31337      1,234  1 behind, 0:12",
        "stream              42  waiting",
        "emitted         61,700",
        "events          61,650  published",
        "delivered       61,500  2 failed, 1 dead",
        "verified        61,512",
        "per second        51.2",
        "▁▅█",
        "POST                   1.2 ms    8.4 ms",
        "queued to delivered    3.1 ms     42 ms",
        "queued       7 open        12",
        "parked       5 retry        3",
        "dead         1",
        "not confirmed yet           4",
        "9 enabled  3 disabled  2 circuit open",
        "50 workers",
        "40 ■ blocked in BRPOP",
        "6 ● posting",
        "3 ○ restarting",
        "1 ✗ stalled",
        "12:00:00.000  Transfer  value=1",
    ],
)
def test_everything_that_is_known_is_shown(words: str) -> None:
    assert words in shown(FULL)


def test_each_worker_is_one_glyph_of_the_grid_in_its_place() -> None:
    text = shown(FULL)
    rows = [line for line in text.splitlines() if line.count("■") + line.count("●") > 4]
    assert len(rows) == 5
    assert "● ● ● ● ● ● ○ ○ ○ ✗" in rows[-1]


@pytest.mark.parametrize("width", [80, 100, 200])
def test_no_line_is_longer_than_the_terminal(width: int) -> None:
    assert max(map(len, shown(FULL, width).splitlines())) <= width


def test_it_keeps_its_height_while_the_numbers_grow() -> None:
    first = ViewModel(0, READY, FULL.chains, "b" * 50, audit=AuditCounts(0, 0, ("",)))
    assert len(shown(first).splitlines()) == len(shown(FULL).splitlines())


def test_a_farm_of_which_nothing_is_known_is_shown_as_such() -> None:
    text = shown(ViewModel(0))
    assert "no farm" in text
    assert "delivered           -" in text
    assert "queued       - open         -" in text


def test_a_service_that_is_not_ready_says_why() -> None:
    stalled = ServiceLine("event_ingestor", False, 1, 1, "chain 31337: no answer " + "x" * 200)
    text = shown(ViewModel(1, (*READY[:2], stalled)))
    assert "not ready" in text
    assert "event_ingestor not ready: chain 31337: no answer" in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_service_with_an_old_status_is_shown_with_its_age() -> None:
    silent = ServiceLine("webhook_delivery", True, 50, 50, "", 17.2)
    text = shown(ViewModel(1, (READY[0], silent, READY[2])))
    assert "not ready" in text
    assert "webhook_delivery: no status for 17 s" in text


def test_of_several_nodes_it_says_which_is_used_and_which_are_left_alone_and_why() -> None:
    problem = "chain 31337: wss://one.example cooldown, retry in 12 s: HTTP 429"
    several = replace(FULL.chains[0], nodes=NodeSummary(2, 3, "https://two.example:8545", 2.0, (problem,)))
    text = shown(replace(FULL, chains=(several,), audit=None))
    assert "nodes           2 of 3  2.0 req/block" in text
    assert "chain 31337: https://two.example:8545 is active" in text
    assert problem in text
    assert "is active" not in shown(FULL)


def test_what_catches_up_is_said_below() -> None:
    behind = replace(FULL.chains[0], catch_up="catching up, 12.0 blocks/s, 1:05 left")
    text = shown(replace(FULL, chains=(behind,), backfills=("ep_1: 25.0 % of 4,000 blocks, " + "x" * 200,)))
    assert "chain 31337: catching up, 12.0 blocks/s, 1:05 left" in text
    assert "backfill ep_1: 25.0 % of 4,000 blocks, xxx" in text
    assert max(map(len, text.splitlines())) <= 80


def test_what_is_old_is_said_to_be() -> None:
    text = shown(replace(FULL, lost="no answer from Redis since 12:00:00: gone"))
    assert "no connection" in text
    assert "no answer from Redis since 12:00:00: gone" in text


def test_draining_is_said() -> None:
    assert "waiting for the last webhooks" in shown(ViewModel(1, READY, draining=True))


def test_a_terminal_without_unicode_gets_other_glyphs() -> None:
    text = shown(FULL, encoding="ascii")
    assert "o o o o o o r r r s" in text
    assert "40 # blocked in BRPOP" in text


@pytest.mark.parametrize(
    ("workers", "rows", "more"), [(1, 1, ""), (60, 6, ""), (300, 10, ""), (500, 10, "200 more")]
)
def test_any_number_of_workers_fits(workers: int, rows: int, more: str) -> None:
    text = shown(ViewModel(1, READY, activity="p" * workers))
    grid = [line for line in text.splitlines() if "●" in line and "posting" not in line]
    assert len(grid) == rows
    assert more in text


def test_a_state_of_a_newer_version_is_shown_as_unknown() -> None:
    assert "■ ? ■" in shown(ViewModel(1, READY, activity="bzb"))
