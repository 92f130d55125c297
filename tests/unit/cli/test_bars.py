"""Many at once: batches, and a bar when they last."""

import io
from collections.abc import Callable

import pytest
from rich.console import Console

from hookfarm.cli.deliveries_again import BATCH, in_batches


def clock(step: float) -> Callable[[], float]:
    """Goes on by `step` seconds with each look at it."""
    looks = 0

    def look() -> float:
        nonlocal looks
        looks += 1
        return looks * step

    return look


def drawn(step: float, *, terminal: bool) -> str:
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=80)
    for _ in in_batches(range(5 * BATCH), "sending", console, clock(step)):
        pass
    return file.getvalue()


@pytest.mark.parametrize("count", [0, 1, BATCH, BATCH + 1, 3 * BATCH])
def test_everything_comes_once_and_in_order(count: int) -> None:
    batches = list(in_batches(range(count), "sending", Console(file=io.StringIO())))
    assert [item for batch in batches for item in batch] == list(range(count))
    assert all(0 < len(batch) <= BATCH for batch in batches)


def test_a_bar_is_drawn_once_it_lasts() -> None:
    assert "sending" in drawn(0.6, terminal=True)


def test_what_is_soon_done_draws_nothing() -> None:
    assert drawn(0.01, terminal=True) == ""


def test_nothing_is_drawn_where_there_is_no_terminal() -> None:
    assert drawn(10.0, terminal=False) == ""
