import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from hookfarm.backfill.state import Progress
from hookfarm.cli.backfill import progress_display

PROGRESS = Progress(
    at_block=1200,
    blocks=200,
    total=800,
    delivered_new=7,
    already_delivered=1,
    queued=3,
    logs_received=1500,
    blocks_per_second=100.0,
)


def test_a_terminal_sees_a_bar_with_speed_matches_and_the_time_left() -> None:
    seen = io.StringIO()
    with progress_display(as_json=False, console=Console(file=seen, force_terminal=True, width=140)) as show:
        show(PROGRESS)
    drawn = seen.getvalue()
    assert "25%" in drawn
    assert "200 of 800 blocks  1,500 logs read  7 matches  3 waiting  100.0 blocks/s  0:06 left" in drawn


def test_without_a_terminal_there_is_a_line_now_and_then_and_one_when_it_gets_stuck(
    capsys: pytest.CaptureFixture[str],
) -> None:
    now = 0.0
    with progress_display(as_json=False, console=Console(file=io.StringIO()), clock=lambda: now) as show:
        for now in (0.0, 1.0, 4.9, 5.0, 9.9):
            show(replace(PROGRESS, blocks=200 + int(100 * now)))
        show(replace(PROGRESS, reason="Redis: gone"))
        show(replace(PROGRESS, reason="Redis: gone"))
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split("  ")[-1] for line in err.splitlines()] == ["0:06 left", "0:01 left", "Redis: gone"]


def test_programs_read_a_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_display(as_json=True) as show:
        show(PROGRESS)
    printed = json.loads(capsys.readouterr().out)
    assert (printed["state"], printed["blocks"], printed["total"], printed["remaining_ms"]) == (
        "running",
        200,
        800,
        6000,
    )
